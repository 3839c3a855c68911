"""A model's side: the clips of `generate`, made once, and never those of other settings."""

import dataclasses

import numpy as np
import pytest
import soundfile

from latentfoley.errors import InputError
from latentfoley.evaluation.sets.generated import generate_set
from latentfoley.evaluation.sets.prompts import Prompt
from latentfoley.pipeline import Model
from latentfoley.provenance import Lora

CAPTIONS = [Prompt("rain", "b"), Prompt("a dog", "sub/a"), Prompt("rain", "c")]
QUICK = {"steps": 2, "duration_s": 0.3, "seed": 5}


@pytest.fixture
def made(micro_model, tmp_path):
    """Return a function that makes the set, and says how many clips were new."""

    def made(captions=CAPTIONS, model=micro_model, limit=None, **changes):
        new = []
        found = generate_set(
            model, captions, tmp_path, limit=limit,
            progress=lambda done, total: new.append(done), **(QUICK | changes),
        )  # fmt: skip
        return found, len(new)

    return made


def test_clip_k_is_the_one_that_generate_makes(made, micro_model, tmp_path):
    found, _ = made()
    expected = micro_model.generate(["rain", "a dog", "rain"], **QUICK)
    for clip, key in zip(expected, ("b", "sub/a", "c"), strict=True):
        (one,) = (clip for clip in found.clips if clip.key == key)
        clip.save(tmp_path / "own.wav")
        assert np.array_equal(soundfile.read(one.path)[0], soundfile.read(tmp_path / "own.wav")[0])
    assert [clip.key for clip in found.clips] == ["b", "c", "sub/a"]


def test_what_is_there_is_not_made_again(made):
    found, n_new = made()
    assert n_new == 3
    before = [clip.path.stat().st_mtime_ns for clip in found.clips]
    assert made() == (found, 0)
    assert before == [clip.path.stat().st_mtime_ns for clip in found.clips]


def test_after_a_kill_the_rest_is_made(made, monkeypatch):
    run = Model.run

    def killed(self, request, progress=None):
        yield next(iter(run(self, request, progress)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        made()
    monkeypatch.undo()
    found, n_new = made()
    assert n_new == 2
    fresh = {clip.key: soundfile.read(clip.path)[0] for clip in found.clips}
    for clip in found.clips:
        clip.path.unlink()
    for clip in made()[0].clips:
        assert np.array_equal(soundfile.read(clip.path)[0], fresh[clip.key])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6},
        {"steps": 3},
        {"guidance": 2.0},
        {"duration_s": 0.4},
        {"sampler": "ddim"},
        {"loop": True},
    ],
)
def test_other_settings_have_other_clips(made, change):
    first, _ = made()
    second, n_new = made(**change)
    assert n_new == 3
    assert not {clip.path for clip in first.clips} & {clip.path for clip in second.clips}
    assert made() == (first, 0)  # and the first are still there


def test_another_model_under_the_same_name_has_other_clips(made, micro_model):
    first, _ = made()
    retrained = dataclasses.replace(micro_model)
    retrained.__dict__["weights_hash"] = "0" * 16
    second, n_new = made(model=retrained)
    assert n_new == 3
    assert first.source != second.source


@pytest.mark.parametrize("what", ["phase_iterations", "lora"])
def test_a_model_that_computes_otherwise_has_other_clips(made, micro_model, what):
    config = micro_model.config
    changes = {
        "phase_iterations": {
            "config": config.model_copy(update={"phase_iterations": config.phase_iterations + 1})
        },
        "lora": {"lora": Lora(name="adapter", hash="0" * 16)},
    }
    first, _ = made()
    second, n_new = made(model=dataclasses.replace(micro_model, **changes[what]))
    assert n_new == 3
    assert first.source != second.source


def test_another_caption_is_made_anew_in_its_place(made):
    made()
    changed = [CAPTIONS[0], Prompt("a clock", "sub/a"), CAPTIONS[2]]
    found, n_new = made(changed)
    assert n_new == 1
    assert found.clips[2].caption == "a clock"


def test_a_damaged_clip_is_made_anew(made):
    found, _ = made()
    found.clips[0].path.write_bytes(b"RIFF")
    assert made() == (found, 1)


def test_a_limit_takes_of_every_folder_and_moves_no_clip(made):
    few, n_new = made(limit=2)
    assert [clip.key for clip in few.clips] == ["b", "sub/a"]
    assert n_new == 2
    assert made()[1] == 1


def test_one_caption_is_no_set(made):
    with pytest.raises(InputError, match="one recording"):
        made(CAPTIONS[:1])
