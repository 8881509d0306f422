"""A network runs on a GPU, on Apple's or on the processor, and not each is faster in bfloat16: asked, not guessed."""

from __future__ import annotations

from typing import Literal

import torch


def best_device() -> torch.device:
    """CUDA if there is one, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def describe_device(device: torch.device) -> str:
    """A short name for people: "CPU, 2 threads", "NVIDIA H100", "Apple GPU"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def best_precision(device: torch.device) -> Literal["no", "bf16"]:
    """bf16 where the device computes in it faster than in float32 ("no"), asked of the device itself."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "no"
    return "no"
