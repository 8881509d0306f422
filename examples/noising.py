"""A picture and seven steps of its noise, side by side: python -m examples.noising photo.jpg noising.png"""

import sys

import torch

from diffusion.images import grid, open_image, to_bytes, to_pil, to_tensor
from diffusion.process import q_sample
from diffusion.schedules.families import make_schedule

schedule, x_0 = make_schedule("cosine", T=1000), to_tensor(open_image(sys.argv[1]))
eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
steps = range(0, 1000, 125)
x_t = torch.stack([q_sample(x_0, float(schedule.alpha_bar[t]), eps) for t in steps])
to_pil(grid(to_bytes(x_t), columns=4)).save(sys.argv[2])
print(*(f"t = {t}: {schedule.snr_db[t]:.1f} dB" for t in steps), sep="\n")
