"""Settings for all tests."""

import sys
from collections.abc import Iterator

import pytest
import torch

# The tensors here are small: threads would only wait for one another, and longest on a machine that is busy.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps its first device and precision for the life of a process."""
    yield
    state = sys.modules.get("accelerate.state")  # takes long to import, and few tests train
    if state is not None:
        state.AcceleratorState._reset_state(reset_partial_state=True)
