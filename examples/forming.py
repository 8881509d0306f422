"""Digits form out of noise, as an animation: python -m examples.forming forming.gif"""

import sys
from pathlib import Path

from diffusion.animation import animate
from diffusion.images import grid, to_bytes, to_pil
from diffusion.networks.model import load_model
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.schedules.families import make_schedule

model, schedule = load_model("digits"), make_schedule("linear")
plan = SamplingPlan(timesteps(schedule, 20), range(20), "ddim", labels=[i % 10 for i in range(20)])
steps = list(sample(model.denoiser, schedule, plan, model.image_shape))
pictures = [to_pil(grid(to_bytes(x), columns=10)) for x in (*(step.x_t for step in steps), steps[-1].x_s)]
Path(sys.argv[1]).write_bytes(animate(pictures, "gif", milliseconds=120, scale=2))
