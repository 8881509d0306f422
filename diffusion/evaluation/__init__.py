"""Evaluation: how well a network explains images it has not seen, and how good and how new its own are."""
