"""Settings for all tests."""

import torch

# The tensors here are small: threads would only wait for one another, and longest on a machine that is busy.
torch.set_num_threads(1)
