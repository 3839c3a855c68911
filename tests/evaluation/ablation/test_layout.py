"""Clips are made once, from the same noise in every cell, and never mistaken for others."""

import json
import shutil

import numpy as np
import pytest

from latentfoley.audio import read_audio
from latentfoley.evaluation.ablation.cells import in_turn, lay_out, make_cells
from latentfoley.evaluation.sets import generated
from latentfoley.evaluation.sets.generated import generate_missing
from latentfoley.evaluation.sets.prompts import read_labelled_prompts
from latentfoley.provenance import read_provenance


@pytest.fixture
def grid(make, tmp_path):
    """Return a function: changes of the recipe → the jobs of its cells."""

    def grid(**changes):
        recipe = make(**changes)
        prompts = read_labelled_prompts(recipe.prompts, recipe.limit)
        return lay_out(recipe, make_cells(recipe), prompts, tmp_path / "clips")

    return grid


def make_missing(grid, workers=1):
    return generate_missing(list(in_turn(grid)), workers)


def paths(grid):
    return [job.path for cell in grid for jobs in cell for job in jobs]


def test_a_cell_is_what_generate_makes(grid, micro_model):
    jobs = grid(limit=2)
    assert make_missing(jobs, 1) == 4
    job = jobs[1][0][1]
    index = job.request.index
    (clip,) = micro_model.generate(
        job.request.prompts[0], steps=2, duration_s=0.2, guidance=3.0, index=index
    )
    written = read_audio(job.path, sample_rate=None).waveform
    assert np.abs(written - clip.waveform).max() <= 1 / 32768
    assert read_provenance(job.path).same_sound(clip.provenance)


def test_the_noise_is_the_same_in_every_cell(grid):
    one, other = grid(seeds=[1, 2], n=2)
    for a, b in zip(one[0], other[0], strict=True):
        assert (a.request.prompts, a.request.seed, a.request.index) == (
            b.request.prompts, b.request.seed, b.request.index
        )  # fmt: skip
    assert len({(job.request.seed, job.request.index) for job in one[0]}) == 6 * 2 * 2


def test_what_is_there_is_not_made_again(grid, monkeypatch):
    assert make_missing(grid(limit=2), 1) == 4
    assert make_missing(grid(limit=2), 1) == 0
    assert make_missing(grid(limit=3), 1) == 2
    assert make_missing(grid(limit=3, grid={"guidance": [1.0, 3.0, 5.0]}), 1) == 3
    paths(grid(limit=3))[0].unlink()
    assert make_missing(grid(limit=3), 1) == 1


def test_a_stopped_run_goes_on_with_whole_prompts(grid, monkeypatch):
    make_one, made = generated.generate_one, []

    def stop_after_three(job):
        if len(made) == 3:
            raise KeyboardInterrupt
        make_one(job)
        made.append(job)

    monkeypatch.setattr(generated, "generate_one", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        make_missing(grid(), 1)
    assert [job.request.prompts[0] for job in made] == ["rain", "rain", "a bird"]
    monkeypatch.setattr(generated, "generate_one", make_one)
    assert make_missing(grid(), 1) == 12 - 3


def test_everything_that_decides_a_sound_names_its_file(grid, micro_model_folder, tmp_path):
    places = {paths(grid(limit=1))[0]}
    for changes in (
        {"sampling": {"steps": 3, "duration_s": 0.2}},
        {"sampling": {"steps": 2, "duration_s": 0.3}},
        {"sampling": {"steps": 2, "duration_s": 0.2, "sampler": "ddim"}},
        {"sampling": {"steps": 2, "duration_s": 0.2, "negative_prompt": "hum"}},
        {"sampling": {"steps": 2, "duration_s": 0.2, "loop": True}},
        {"seeds": [1]},
        {"prompts": ["another"]},
    ):
        places.add(paths(grid(limit=1, **changes))[0])
    assert len(places) == 8
    copy = shutil.copytree(micro_model_folder, tmp_path / "copy")
    assert paths(grid(limit=1, models={"copy": str(copy)}))[0] in places, "a model has no place"
    off = {"steps": 2, "duration_s": 0.2, "loop": False}
    assert paths(grid(limit=1, sampling=off))[0] in places, "options come, and are off"


def test_a_model_is_its_weights_and_its_settings(grid, micro_model_folder, tmp_path):
    copy = shutil.copytree(micro_model_folder, tmp_path / "copy")
    before = paths(grid(limit=1, models={"copy": str(copy)}))
    settings = copy / "scheduler/scheduler_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"beta_end": 0.02}))
    assert not set(before) & set(paths(grid(limit=1, models={"copy": str(copy)})))


def test_a_gpu_has_one_worker_in_this_process(grid, monkeypatch):
    """On a machine with a GPU no process is started, and each GPU's model is loaded once."""
    loaded = []
    load = generated._load
    jobs = grid(limit=2)
    monkeypatch.setattr(generated, "_gpus", lambda: ["cpu"])
    monkeypatch.setattr(
        generated,
        "_load",
        lambda model, dtype, device=None: loaded.append(device) or load(model, dtype, device),
    )
    monkeypatch.setattr(generated, "map_in_processes", None)
    assert make_missing(jobs, workers=4) == 4
    assert loaded == ["cpu"]
    assert make_missing(grid(limit=2)) == 0


def test_each_precision_is_a_sound_of_its_own(grid):
    jobs = grid(limit=1, grid={"dtype": ["fp32", "bf16"]}, baselines=[])
    assert make_missing(jobs) == 2
    exact, rounded = (read_audio(path, sample_rate=None).waveform for path in paths(jobs))
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).mean() < 0.5 * np.abs(exact).mean()


@pytest.mark.slow
def test_processes_make_the_same_sounds(grid, tmp_path):
    def made(workers):
        shutil.rmtree(tmp_path / "clips", ignore_errors=True)
        assert make_missing(grid(limit=2), workers) == 4
        return [read_audio(path, sample_rate=None).waveform for path in paths(grid(limit=2))]

    for one, other in zip(made(1), made(2), strict=True):
        assert np.array_equal(one, other)
