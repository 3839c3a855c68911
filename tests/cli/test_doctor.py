"""`latentfoley doctor`: what this machine can do."""

import platform

import torch

import latentfoley

LABELS = [
    "latentfoley",
    "python",
    "torch",
    "devices",
    "number formats",
    "cpu",
    "cpu features",
    "extra train",
    "extra serve",
    "model tiny",
    "hub cache",
]


def rows(out):
    return {line[:14].strip(): line[15:] for line in out.splitlines()}


def test_every_row_says_something(run):
    end = run("doctor")
    assert (end.code, end.err) == (0, "")
    said = rows(end.out)
    assert list(said) == LABELS
    assert all(said.values())
    assert said["latentfoley"] == latentfoley.__version__
    assert said["python"] == platform.python_version()
    assert said["torch"].startswith(torch.__version__)
    assert said["devices"].startswith("cpu")
    assert said["number formats"].startswith("fp32")


def test_the_features_are_those_of_the_processor(run, monkeypatch):
    monkeypatch.setattr("latentfoley.devices.cpu_flags", lambda: ["avx2", "amx_bf16"])
    said = rows(run("doctor").out)
    assert said["cpu features"] == "avx2, amx_bf16"
    assert said["number formats"] == "fp32, bf16 in hardware"


def test_a_missing_extra_is_named(run, monkeypatch):
    monkeypatch.setattr(
        "latentfoley.cli.doctor._installed", lambda package: package != "tensorboard"
    )
    assert rows(run("doctor").out)["extra train"] == "missing tensorboard"


def test_the_embedded_model_and_the_cache(run, monkeypatch, tmp_path):
    (tmp_path / "tiny" / "unet").mkdir(parents=True)
    (tmp_path / "tiny" / "unet" / "weights").write_bytes(bytes(3_000_000))
    (tmp_path / "models--cvssp--audioldm-s-full-v2").mkdir()
    monkeypatch.setattr("latentfoley.loading.RESOURCES", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    said = rows(run("doctor").out)
    assert said["model tiny"] == f"3 MB at {tmp_path / 'tiny'}"
    assert said["hub cache"] == "cvssp--audioldm-s-full-v2"
    monkeypatch.setattr("latentfoley.loading.RESOURCES", tmp_path / "nowhere")
    assert rows(run("doctor").out)["model tiny"] == "missing"
