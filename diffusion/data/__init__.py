"""Data sets: images with what is known of each, read from files and folders, and drawn for training."""
