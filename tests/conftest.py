"""Settings for all tests."""

from collections.abc import Iterator

import pytest
import torch

# The tensors here are small: threads would only wait for one another, and longest on a machine that is busy.
torch.set_num_threads(1)


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps its first device and precision for the life of a process."""
    yield
    from accelerate.state import AcceleratorState  # takes long to import, and few tests train

    AcceleratorState._reset_state(reset_partial_state=True)
