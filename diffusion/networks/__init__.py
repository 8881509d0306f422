"""Trained networks: what a network is, the kinds of it, and how they lie on disk."""
