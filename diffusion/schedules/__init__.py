"""Noise schedules: how much noise there is at each step, made, read, written and judged."""
