"""Denoising diffusion: the mathematics, the networks and the command line."""

__version__ = "0.1.0"
