"""Denoising diffusion: the mathematics, the networks and the command line."""

import os

__version__ = "0.1.0"

# PyTorch's threads wait for one another behind every operation. They spin meanwhile, and on a core that a browser wants
# too they hold up the very thread that they wait for; passive ones sleep. GNU's, LLVM's and Intel's OpenMP all read
# this when PyTorch is imported: so it stands here, before anything of the project can do that. Who has said how threads
# wait keeps it, also how long they spin first (GOMP_SPINCOUNT, KMP_BLOCKTIME), which comes before it.
if "KMP_LIBRARY" not in os.environ:  # the same by another name, of which LLVM's takes one
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
