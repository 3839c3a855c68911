"""LatentFoley in ComfyUI: load a model, generate a sound, edit a sound.

ComfyUI passes sound as a dictionary: "waveform", a float tensor (B, C, N), and "sample_rate".
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import soundfile
import torch

import latentfoley

SAMPLERS = ["dpm++", "dpm++sde", "unipc", "euler", "heun", "ddim", "ddpm"]
EDITS = {
    "transfer": ("strength",),
    "vary": ("strength",),
    "inpaint": ("spans",),
    "extend": ("before_s", "after_s"),
    "upsample": ("cutoff_hz",),
    "loop": ("seam_s",),
}
"""The kinds of edit, and the widgets that each of them reads."""

MOST_EXACT_INTEGER = 2**53 - 1  # a widget holds numbers as JavaScript does
Audio = dict[str, Any]


def _text(default: str = "") -> tuple[str, dict[str, Any]]:
    return "STRING", {"default": default, "multiline": True}


def _float(default: float, low: float, high: float, step: float) -> tuple[str, dict[str, Any]]:
    return "FLOAT", {"default": default, "min": low, "max": high, "step": step}


def _int(default: int, low: int, high: int) -> tuple[str, dict[str, Any]]:
    return "INT", {"default": default, "min": low, "max": high}


def _sampling() -> dict[str, Any]:
    """Return the widgets that generating and editing share."""
    return {
        "seed": _int(0, 0, MOST_EXACT_INTEGER),
        "steps": _int(25, 1, 1000),
        "guidance": _float(2.5, 0.0, 100.0, 0.1),
        "sampler": (SAMPLERS, {"default": SAMPLERS[0]}),
        "negative_prompt": _text(),
    }


class LoadModel:
    """A model by its name, folder or checkpoint file."""

    CATEGORY = "LatentFoley"
    FUNCTION = "load"
    RETURN_TYPES = ("LATENTFOLEY_MODEL",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  the name that ComfyUI asks for
        return {
            "required": {
                "model": ("STRING", {"default": "tiny"}),
                "dtype": (["auto", "fp32", "bf16", "fp16"], {"default": "fp32"}),
            },
            "optional": {"lora": ("STRING", {"default": ""})},
        }

    def load(self, model: str, dtype: str, lora: str = "") -> tuple[latentfoley.Model]:
        return (latentfoley.load(model, dtype=dtype, lora=lora or None),)


class Generate:
    """Sounds from a text, or like a recording."""

    CATEGORY = "LatentFoley"
    FUNCTION = "generate"
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {
                "model": ("LATENTFOLEY_MODEL",),
                "prompt": _text("a dog barking"),
                "duration_s": _float(5.0, 0.1, 3600.0, 0.1),
                "n": _int(1, 1, 64),
                "candidates": _int(1, 1, 64),
                "loop": ("BOOLEAN", {"default": False}),
                **_sampling(),
            },
            "optional": {"audio_prompt": ("AUDIO",)},
        }

    def generate(
        self,
        model: latentfoley.Model,
        prompt: str,
        audio_prompt: Audio | None = None,
        **options: Any,
    ) -> tuple[Audio]:
        if audio_prompt is None:
            return (_run(model, latentfoley.GenerationRequest.build(prompt, **options)),)
        with TemporaryDirectory() as folder:
            options["audio_prompt"] = _files(audio_prompt, Path(folder))[0]
            return (_run(model, latentfoley.GenerationRequest.build(**options)),)


class Edit:
    """A recording made anew, in whole or in part; every sound of a batch by itself."""

    CATEGORY = "LatentFoley"
    FUNCTION = "edit"
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {
                "model": ("LATENTFOLEY_MODEL",),
                "audio": ("AUDIO",),
                "kind": (list(EDITS), {"default": "transfer"}),
                "prompt": _text(),
                **_sampling(),
                "strength": _float(0.6, 0.0, 1.0, 0.05),
                "start_s": _float(0.0, 0.0, 3600.0, 0.01),
                "end_s": _float(1.0, 0.0, 3600.0, 0.01),
                "before_s": _float(0.0, 0.0, 3600.0, 0.1),
                "after_s": _float(1.0, 0.0, 3600.0, 0.1),
                "cutoff_hz": _float(4000.0, 0.0, 24000.0, 100.0),
                "seam_s": _float(0.5, 0.04, 60.0, 0.01),
            }
        }

    def edit(
        self,
        model: latentfoley.Model,
        audio: Audio,
        kind: str,
        prompt: str,
        start_s: float,
        end_s: float,
        **options: Any,
    ) -> tuple[Audio]:
        options["spans"] = ((start_s, end_s),)
        unused = {name for names in EDITS.values() for name in names} - {*EDITS[kind]}
        options = {name: value for name, value in options.items() if name not in unused}
        with TemporaryDirectory() as folder:
            requests = [
                latentfoley.EditRequest.build(kind, file, prompt or None, **options)
                for file in _files(audio, Path(folder))
            ]
            return (_run(model, *requests),)


def _files(audio: Audio, folder: Path) -> list[Path]:
    """Write each sound of a batch to a file of its own."""
    paths = []
    for k, waveform in enumerate(audio["waveform"]):  # (C, N)
        paths.append(folder / f"input-{k}.wav")
        soundfile.write(paths[-1], waveform.cpu().float().T, audio["sample_rate"], subtype="FLOAT")
    return paths


def _run(
    model: latentfoley.Model, *requests: latentfoley.GenerationRequest | latentfoley.EditRequest
) -> Audio:
    """Return all clips of the requests as one batch (B, 1, N)."""
    clips = [clip for request in requests for clip in model.run(request, _progress())]
    waveforms = torch.stack([torch.from_numpy(clip.waveform) for clip in clips])
    return {"waveform": waveforms[:, None], "sample_rate": clips[0].sample_rate}


def _progress() -> Callable[[int, int], None]:
    """Return what moves ComfyUI's bar, and stops where its user says so."""
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar

    bar = ProgressBar(1)

    def step(done: int, steps: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(done, steps)

    return step


NODE_CLASS_MAPPINGS = {
    "LatentFoleyLoadModel": LoadModel,
    "LatentFoleyGenerate": Generate,
    "LatentFoleyEdit": Edit,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LatentFoleyLoadModel": "LatentFoley: load model",
    "LatentFoleyGenerate": "LatentFoley: generate",
    "LatentFoleyEdit": "LatentFoley: edit",
}
