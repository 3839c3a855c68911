"""Where to compute, and in which number format."""

import platform
from pathlib import Path
from typing import Literal

import torch

from latentfoley.errors import InputError, nearest

Dtype = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Dtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "neon", "bf16")


def choose_device(device: str | None) -> torch.device:
    """Return the device to use; None is the first GPU: CUDA's, else Apple's, else the CPU.

    Raises:
        InputError: it is not a device, or this machine has none of its kind.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return _try(torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device '{device}' cannot be used here: {reason}") from None


def _try(device: torch.device) -> torch.device:
    """Return the device with its number; the one called meta computes nothing and is refused."""
    number = torch.zeros(1, device=device)
    number.item()
    return number.device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the precision to compute in; "auto" is bf16 where the hardware has it.

    Raises:
        InputError: the name is none of "auto", "fp32", "bf16", "fp16".
    """
    if name == "auto":
        return torch.bfloat16 if has_bf16(device) else torch.float32
    if name not in DTYPES:
        raise InputError(f"dtype '{name}' is not known; {nearest(name, ['auto', *DTYPES])}")
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> Dtype:
    """Return the name in `DTYPES` of a precision the denoiser is kept in."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def has_bf16(device: torch.device) -> bool:
    """Say whether bf16 is computed in hardware there, and not emulated."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu_flags())


def cpu_name() -> str:
    """Return the processor's name as Linux gives it, elsewhere its architecture."""
    listing = Path("/proc/cpuinfo")
    for line in listing.read_text().splitlines() if listing.is_file() else ():
        label, _, name = line.partition(":")
        if label.strip() == "model name":
            return name.strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Return the features of the processor that matter here, as Linux lists them."""
    listing = Path("/proc/cpuinfo")
    words = set(listing.read_text().split()) if listing.is_file() else set()
    return [flag for flag in CPU_FLAGS if flag in words]
