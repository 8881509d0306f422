"""Losses: what a network gets wrong, measured once, and what that is worth under any weight and schedule."""
