"""Training: a network, a schedule and a way to train it, and a run that can be stopped and go on."""
