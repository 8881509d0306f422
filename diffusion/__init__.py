"""Denoising diffusion: the mathematics, the networks and the command line."""

import os

__version__ = "0.1.0"

# PyTorch's threads wait for one another behind every operation. They spin meanwhile, and on a core that a browser wants
# too they hold up the very thread that they wait for; passive ones sleep. GNU's, LLVM's and Intel's OpenMP all read
# this when PyTorch is imported: so it stands here, before anything of the project does that. Waking takes time too, on
# some machines more than the wait: GNU's spin for some microseconds first. Who has said how threads wait keeps it.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "KMP_LIBRARY"}:  # which is the same by another name, in LLVM's
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
