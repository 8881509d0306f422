"""What an image costs a network in bits/dim, under schedules of several lengths: python -m examples.bound"""

from diffusion.data.folders import load_data
from diffusion.images import to_unit
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.losses.rate import ledger
from diffusion.networks.model import load_model
from diffusion.schedules.families import make_schedule

model, digits = load_model("digits"), load_data("digits", "test", 32).evenly(16)
levels = measuring_levels(model.card.training_schedule(), 20)
*_, curve = measure_errors(model.denoiser, to_unit(digits.images), levels, labels=digits.labels)
for T in (10, 100, 1000):  # measured once; no network is asked again
    book = ledger(curve, make_schedule("linear", T, keep_shape_of=1000), "posterior")
    print(f"T = {T}: L_T {book.L_T:.5f}, L_1 to L_T-1 {book.L_mid:.3f}, L_0 {book.L_0:.3f}, in all {book.total:.3f}")
