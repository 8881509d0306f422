"""`python -m diffusion ...`: the library from a terminal, a file a command."""
