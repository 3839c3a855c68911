"""Where to compute, and in which number format."""

import platform
from pathlib import Path

import torch

from latentfoley.config import Dtype
from latentfoley.errors import InputError, nearest

# What numbers are kept in; with "int8" the heavy layers are in integers instead, see int8.py.
DTYPES: dict[Dtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "int8": torch.bfloat16,
    "fp16": torch.float16,
}
CPU_FLAGS = (
    *("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "bf16"),
)


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


def choose_dtype(name: str, device: torch.device) -> Dtype:
    """Return the precision to compute in; "auto" is the fastest that the hardware has.

    Raises:
        InputError: the name is none of "auto", "fp32", "bf16", "int8", "fp16", or the hardware has
            no products of 8 bits.
    """
    if name == "auto":
        return "int8" if has_int8(device) else "bf16" if has_bf16(device) else "fp32"
    for known in DTYPES:
        if name == known == "int8" and not has_int8(device):
            raise InputError(
                "dtype 'int8' needs a CPU with VNNI (or AMX) and bf16, and this is none; "
                "allowed: auto, fp32, bf16, fp16"
            )
        if name == known:
            return known
    raise InputError(f"dtype '{name}' is not known; {nearest(name, ['auto', *DTYPES])}")


def has_bf16(device: torch.device) -> bool:
    """Say whether bf16 is computed in hardware there, and not emulated."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu_flags())


def has_int8(device: torch.device) -> bool:
    """Say whether products of 8-bit integers, with results in bf16, are computed in hardware."""
    vnni = {"avx512_vnni", "avx_vnni", "amx_int8"}
    return device.type == "cpu" and has_bf16(device) and not vnni.isdisjoint(cpu_flags())


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
