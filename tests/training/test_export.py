"""A finished run → one model folder: whole, loadable everywhere, or not there."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import latentfoley
from latentfoley.checkpoints.adapter import read_adapter
from latentfoley.checkpoints.layout import Description, read_description, write_description
from latentfoley.errors import ModelError, RecipeError
from latentfoley.training.diffusion import DiffusionTask
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.export import export_adapter, export_model
from latentfoley.training.loop import train
from micro import UNET
from tasks import run_recipe

REQUEST = {"duration_s": 0.1, "steps": 2}


@pytest.fixture
def run(latents, micro_model_folder, tmp_path):
    """A run of one step, exported as the loop would; keywords change its recipe."""

    def run(**changes):
        values = {"run": run_recipe(tmp_path / "run"), "data": {"latents": latents}} | changes
        task = DiffusionTask(DiffusionRecipe.parse(values, where="test"), torch.device("cpu"))
        task.step(0)
        task.export(tmp_path / "run" / "model")
        return task

    return run


@pytest.fixture
def apart(micro_model_folder):
    """What a new model is put together from."""
    folder = str(micro_model_folder)
    return {"model": UNET.model_dump(), "vae": folder, "clap": folder, "vocoder": folder}


def sound(model):
    (clip,) = model.generate("rain", **REQUEST)
    return clip.waveform


def test_a_new_model_is_the_average_with_its_parts(run, apart, tmp_path, micro_model):
    schedule = {"prediction": "v_prediction"}
    own = {
        "schedule": schedule,
        "usage": {"phase_iterations": 3},
        "licence": "CC0",
        "conditioning": "text",
    }
    task = run(**apart, **own)
    size = export_model(tmp_path / "run", tmp_path / "out")
    assert size == sum(f.stat().st_size for f in (tmp_path / "out").rglob("*") if f.is_file())
    model = latentfoley.load(tmp_path / "out", device="cpu")
    assert model.config.schedule.prediction == "v_prediction"
    assert model.config.phase_iterations == 3
    assert read_description(tmp_path / "out").licence == "CC0"
    for name, tensor in task.ema.state_dict().items():
        assert torch.equal(model.unet.state_dict()[name], tensor)
    for part in ("vae", "vocoder"):
        theirs = getattr(micro_model, part).state_dict()
        assert all(torch.equal(t, theirs[k]) for k, t in getattr(model, part).state_dict().items())
    assert np.isfinite(sound(model)).all()
    assert model.generate("rain", candidates=2, **REQUEST)  # the audio tower came along


def test_a_base_model_at_a_relative_place_is_found_from_elsewhere(
    run, micro_model_folder, tmp_path, monkeypatch
):
    shutil.copytree(micro_model_folder, tmp_path / "base")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run(start="base")
    monkeypatch.chdir("elsewhere")
    assert export_model(tmp_path / "run", tmp_path / "out") > 0


def test_a_model_trained_on_keeps_what_it_came_with(run, tmp_path, micro_model_folder):
    start = shutil.copytree(micro_model_folder, tmp_path / "start")
    about = Description(phase_iterations=5, licence="CC BY 4.0")
    write_description(start, about)
    (start / "ATTRIBUTION.csv").write_text("who,what\n")
    run(start=str(start))
    export_model(tmp_path / "run", tmp_path / "out")
    made = read_description(tmp_path / "out")
    assert (made.mel, made.phase_iterations, made.licence) == (about.mel, 5, "CC BY 4.0")
    assert made.trained_from.startswith(f"{start} (hash ")
    assert (tmp_path / "out" / "ATTRIBUTION.csv").read_text() == "who,what\n"


def test_where_no_licence_is_stated_it_is_that_of_the_start(run, tmp_path, micro_model_folder):
    run(start=str(micro_model_folder))
    export_model(tmp_path / "run", tmp_path / "out")
    assert read_description(tmp_path / "out").licence == f"that of {micro_model_folder}"


def test_half_precision_is_half_the_size_and_loads(run, tmp_path, micro_model_folder):
    run(start=str(micro_model_folder))
    whole = export_model(tmp_path / "run", tmp_path / "whole")
    assert export_model(tmp_path / "run", tmp_path / "half", half=True) < 0.75 * whole
    model = latentfoley.load(tmp_path / "half", device="cpu")
    (clip,) = model.generate("rain", candidates=2, **REQUEST)
    assert np.isfinite(clip.waveform).all()


def test_an_adapter_is_merged(run, tmp_path, micro_model_folder):
    task = run(start=str(micro_model_folder), lora={"rank": 2}, ema_decay=0.0)
    export_model(tmp_path / "run", tmp_path / "out")
    model = latentfoley.load(tmp_path / "out", device="cpu")
    z_n, n, E = torch.randn(2, 4, 16, 16), torch.tensor([3.0, 900.0]), torch.randn(2, 16)
    with torch.no_grad():
        torch.testing.assert_close(model.unet(z_n, n, E), task.ema(z_n, n, E), rtol=1e-4, atol=1e-5)
    export_adapter(tmp_path / "run", tmp_path / "adapter")
    adapted = latentfoley.load(micro_model_folder, device="cpu", lora=tmp_path / "adapter")
    np.testing.assert_array_equal(sound(adapted), sound(model))
    assert read_adapter(tmp_path / "adapter").scale == 4.0


def test_diffusers_makes_the_same_of_it(run, tmp_path, micro_model_folder):
    from diffusers import UNet2DConditionModel

    run(start=str(micro_model_folder), lora={"rank": 2}, ema_decay=0.0)
    export_model(tmp_path / "run", tmp_path / "out")
    ours = latentfoley.load(tmp_path / "out", device="cpu").unet
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "out" / "unet")
    z_n, n, E = torch.randn(2, 4, 16, 16), torch.tensor([3, 900]), torch.randn(2, 16)
    with torch.no_grad():
        expected = theirs(z_n, n, encoder_hidden_states=None, class_labels=E).sample
        torch.testing.assert_close(ours(z_n, n.float(), E), expected, rtol=1e-4, atol=1e-4)


def test_an_unfinished_run_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RecipeError, match=r"is missing: give the folder of a finished run.*: run"):
        export_model(tmp_path / "runn", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_is_there_is_not_overwritten(run, tmp_path, micro_model_folder):
    run(start=str(micro_model_folder), lora={"rank": 1})
    (tmp_path / "out").mkdir()
    for export, kind in ((export_model, ModelError), (export_adapter, RecipeError)):
        with pytest.raises(kind, match="exists already; give the name of a new folder"):
            export(tmp_path / "run", tmp_path / "out")


def test_a_run_of_all_weights_has_no_adapter(run, tmp_path, micro_model_folder):
    run(start=str(micro_model_folder))
    with pytest.raises(RecipeError, match="trained all weights and holds no adapter"):
        export_adapter(tmp_path / "run", tmp_path / "out")


def test_an_adapter_is_small(run, tmp_path, micro_model_folder):
    run(start=str(micro_model_folder), lora={"rank": 1})
    size = export_adapter(tmp_path / "run", tmp_path / "out")
    whole = load_file(micro_model_folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert size < 0.5 * sum(tensor.numel() * 4 for tensor in whole.values())


@pytest.mark.parametrize(
    ("export", "changes"), [(export_model, {}), (export_adapter, {"lora": {"rank": 1}})]
)
def test_what_was_changed_on_the_way_goes_with_what_is_exported(
    latents, micro_model_folder, tmp_path, export, changes
):
    folder = tmp_path / "run"
    for steps, batch_size in ((1, 2), (2, 1)):
        values = {"data": {"latents": latents}, "start": str(micro_model_folder), **changes}
        values["run"] = run_recipe(folder, steps=steps, batch_size=batch_size)
        recipe = DiffusionRecipe.parse(values, where="test")
        train(DiffusionTask(recipe, torch.device("cpu")), recipe.run)
    export(folder, tmp_path / "out")
    told = ("steps 0 to 1", "steps 1 to 2, run.steps 1 → 2, run.batch_size 2 → 1")
    about = read_description(tmp_path / "out")
    assert about.training == told
    assert about.trained_from.startswith(str(micro_model_folder))
