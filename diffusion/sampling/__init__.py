"""Sampling: from noise to images, one step after the other, and what decides which images come out.

One step, from x_t at t to x_s at an earlier s:

    x_t --- denoiser ---> eps --- x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t) ---> x_0
     |      (network, guidance)                                                                     |
     |                                                                                            clip
     |                                                                                              |
     +------------------------------> update <--- x_0 and eps that agree -------------------------- +
                                         |  mean of x_s; may ask the denoiser again, or look back at the past
                                         v
                                   + sigma z  (noise of the sample's own seed)  --->  x_s

The nouns: the *denoiser* knows images and is asked by noise level (denoiser.py); the *steps* say at which t (steps.py);
the *clip* keeps x_0 where images are (clips.py); the *update* is the sampler, pure arithmetic (updates.py); the *noise*
is one generator a sample (noise.py). A *plan* holds all of them that can be chosen (plan.py), the *loop* follows it and
yields every *step* (loop.py). A *recipe* is a plan with the network and the schedule it was for (recipe.py), and lies
beside its images in an *archive* (archive.py).
"""
