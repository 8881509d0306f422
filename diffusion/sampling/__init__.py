"""Sampling: from noise to images, one step after the other, and what decides which images come out."""
