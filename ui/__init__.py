import diffusion  # noqa: F401  which says how threads wait, before any module here imports torch
