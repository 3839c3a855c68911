"""The node pack, run as ComfyUI runs nodes, against a stand-in of the little it asks of ComfyUI."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from latentfoley.editing.request import SETTINGS
from latentfoley.errors import InputError
from latentfoley.samplers import SAMPLERS
from signals import noise

PACK = Path(__file__).parents[2] / "integrations/comfyui/__init__.py"
RATE = 16_000


class InterruptProcessingError(Exception):
    """What ComfyUI raises when its user stops a run."""


@pytest.fixture
def comfy(monkeypatch):
    """A stand-in of ComfyUI: a bar that keeps what it was told, and a button that stops a run."""
    comfy, utils, management = (ModuleType(f"comfy{part}") for part in ("", ".u", ".m"))
    comfy.bars, comfy.stopped = [], False

    class ProgressBar:
        def __init__(self, total):
            self.steps = []
            comfy.bars.append(self)

        def update_absolute(self, value, total=None, preview=None):
            self.steps.append((value, total))

    def throw():
        if comfy.stopped:
            raise InterruptProcessingError

    utils.ProgressBar = ProgressBar
    management.throw_exception_if_processing_interrupted = throw
    monkeypatch.setitem(sys.modules, "comfy", comfy)
    monkeypatch.setitem(sys.modules, "comfy.utils", utils)
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    return comfy


@pytest.fixture
def nodes(comfy):
    spec = importlib.util.spec_from_file_location("custom_nodes_latentfoley", PACK)
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    return pack.NODE_CLASS_MAPPINGS


def default_of(kind, settings):
    """Return the value of an untouched widget, checked as ComfyUI checks it before a run."""
    if isinstance(kind, list):
        assert settings["default"] in kind
    elif kind in ("INT", "FLOAT"):
        assert settings["min"] <= settings["default"] <= settings["max"]
    return settings["default"]


def execute(node, **inputs):
    """Run a node as ComfyUI does: widgets give what no link gives; outputs are as many as named."""
    required = node.INPUT_TYPES()["required"]
    allowed = {*required, *node.INPUT_TYPES().get("optional", {})}
    assert inputs.keys() <= allowed
    widgets = {name: spec for name, spec in required.items() if name not in inputs}
    untouched = {name: default_of(*spec) for name, spec in widgets.items()}
    outputs = getattr(node(), node.FUNCTION)(**untouched, **inputs)
    assert isinstance(outputs, tuple) and len(outputs) == len(node.RETURN_TYPES)
    return outputs[0]


def audio(batch=1, channels=2, rate=RATE, duration_s=0.5):
    sounds = [torch.from_numpy(noise(duration_s, seed=k)) for k in range(batch)]
    waveform = torch.stack(sounds)[:, None].expand(-1, channels, -1)
    return {"waveform": waveform, "sample_rate": rate}


def test_a_loaded_model_generates_what_python_does(nodes, micro_model_folder, micro_model):
    model = execute(nodes["LatentFoleyLoadModel"], model=str(micro_model_folder))
    options = {"prompt": "rain", "duration_s": 0.5, "steps": 2, "n": 2, "seed": 7}
    made = execute(nodes["LatentFoleyGenerate"], model=model, **options)
    same = micro_model.generate(options.pop("prompt"), **options)
    assert made["sample_rate"] == RATE
    assert made["waveform"].shape == (2, 1, RATE // 2)
    for waveform, clip in zip(made["waveform"], same, strict=True):
        assert torch.equal(waveform[0], torch.from_numpy(clip.waveform))


def test_a_recording_takes_the_place_of_the_text(nodes, micro_model):
    node, options = nodes["LatentFoleyGenerate"], {"duration_s": 0.5, "steps": 2}
    like = execute(node, model=micro_model, audio_prompt=audio(), **options)
    text = execute(node, model=micro_model, **options)
    assert not torch.equal(like["waveform"], text["waveform"])


def test_the_pack_offers_what_the_library_does(nodes):
    edit, generate = nodes["LatentFoleyEdit"], nodes["LatentFoleyGenerate"]
    kinds, _ = edit.INPUT_TYPES()["required"]["kind"]
    assert {*kinds} == {*SETTINGS} - {"morph"}, "a morph takes two recordings"
    for node in (edit, generate):
        names, _ = node.INPUT_TYPES()["required"]["sampler"]
        assert {*names} == {*SAMPLERS}


@pytest.mark.parametrize(
    ("kind", "n_samples"),
    [
        ("transfer", RATE // 2),
        ("vary", RATE // 2),
        ("inpaint", RATE // 2),
        ("extend", RATE // 2 + RATE),
        ("upsample", RATE // 2),
        ("loop", RATE // 2),
    ],
)
def test_every_edit_keeps_the_batch(nodes, micro_model, kind, n_samples):
    given = {"kind": kind, "prompt": "rain", "steps": 2, "start_s": 0.1, "end_s": 0.3}
    made = execute(
        nodes["LatentFoleyEdit"], model=micro_model, audio=audio(batch=2), seam_s=0.1, **given
    )
    assert made["waveform"].shape == (2, 1, n_samples)
    assert not torch.equal(*made["waveform"]), "each sound of a batch is edited by itself"


def test_the_bar_reaches_its_end_and_the_button_stops(nodes, comfy, micro_model):
    options = {"model": micro_model, "duration_s": 0.5, "steps": 3}
    execute(nodes["LatentFoleyGenerate"], **options)
    assert comfy.bars[-1].steps[-1] == (3, 3)
    comfy.stopped = True
    with pytest.raises(InterruptProcessingError):
        execute(nodes["LatentFoleyGenerate"], **options)


def test_a_mistake_is_said_in_words(nodes, micro_model):
    with pytest.raises(InputError, match="reversed"):
        execute(
            nodes["LatentFoleyEdit"],
            **{"model": micro_model, "audio": audio(), "kind": "inpaint"},
            **{"start_s": 0.4, "end_s": 0.1},
        )
