"""A row is the sound that `generate` or `edit` gives, or a reason; one never stops another."""

import io

import numpy as np
import pytest
import soundfile

from latentfoley.cluster.manifest import Row
from latentfoley.cluster.row import make_rows
from latentfoley.pipeline import Model

SETTINGS = {"steps": 2, "duration_s": 0.3}


def rows(*asked):
    return [Row(k, f"id{k}", cells) for k, cells in enumerate(asked)]


def make(model, *asked, folder, find=lambda name: None):
    made = make_rows(model, rows(*asked), folder, find)
    return sorted(made, key=lambda one: one.result.row)


def samples(flac):
    return soundfile.read(io.BytesIO(flac), dtype="int16")[0]


def saved(clip, folder):
    return soundfile.read(clip.save(folder / "expected.flac"), dtype="int16")[0]


def test_a_generation_and_an_edit_are_those_of_the_model(micro_model, recordings, tmp_path):
    edit = {"edit": "vary", "source": "noise.wav", "steps": 2, "seed": 5}
    generation = {"prompt": "rain", "seed": 3, **SETTINGS}
    first, second = make(micro_model, generation, edit, folder=recordings.parent)
    (generated,) = micro_model.generate("rain", seed=3, **SETTINGS)
    (edited,) = micro_model.edit("vary", recordings.parent / "noise.wav", seed=5, steps=2)
    assert np.array_equal(samples(first.flac), saved(generated, tmp_path))
    assert np.array_equal(samples(second.flac), saved(edited, tmp_path))
    assert first.result.identity == generated.provenance.identity
    assert second.result.identity == edited.provenance.identity


def test_the_score_is_that_of_the_sound_and_its_own_prompt(micro_model, tmp_path):
    (made,) = make(micro_model, {"prompt": "rain", **SETTINGS}, folder=tmp_path)
    waveform, rate = soundfile.read(io.BytesIO(made.flac), dtype="float32")
    expected = float(micro_model.audio.embed(waveform, rate) @ micro_model.embed([("rain", 1.0)]))
    assert made.result.score == pytest.approx(expected, abs=1e-6)
    assert made.result.duration_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"prompt": "rain", "steps": 0}, "steps: must lie between 1 and 1000, got 0"),
        ({"prompt": "rain", "stepps": 2}, "Did you mean 'steps'?"),
        ({"prompt": ["rain", "wind"]}, "a row is one clip, this one asks for 2"),
        ({"prompt": "rain", "n": 2}, "a row is one clip, this one asks for 2"),
        ({"edit": "vary"}, "needs a recording: source"),
        ({"edit": "vary", "source": "none.wav"}, "none.wav"),
        ({"steps": 2}, "prompt"),
        ({"edit": "vary", "source": "s3://user:secret@bucket/a.wav"}, "holds credentials"),
    ],
)
def test_a_row_that_fails_is_recorded_and_the_next_is_made(micro_model, tmp_path, cells, reason):
    failed, made = make(micro_model, cells, {"prompt": "rain", **SETTINGS}, folder=tmp_path)
    assert reason in failed.result.reason
    assert "secret" not in failed.result.reason
    assert failed.flac == b""
    assert made.result.reason == ""
    assert made.flac


def test_what_is_there_by_identity_is_not_made_again(micro_model, tmp_path, monkeypatch):
    cells = {"prompt": "rain", **SETTINGS}
    (made,) = make(micro_model, cells, folder=tmp_path)
    monkeypatch.setattr(Model, "run", None)
    (found,) = make(micro_model, cells, folder=tmp_path, find={made.result.identity: made.flac}.get)
    assert found.result == made.result
    assert (made.is_new, found.is_new) == (True, False)


class TestTogether:
    """On an accelerator rows of one shape share a batch."""

    @pytest.fixture(autouse=True)
    def batches(self, monkeypatch):
        """The sizes of the batches that are denoised."""
        monkeypatch.setattr(Model, "batch_size", 4)
        sounds, sizes = Model._sounds, []

        def counted(self, mode, E, E_uncond, batch, callback):
            sizes.append(len(batch))
            return sounds(self, mode, E, E_uncond, batch, callback)

        monkeypatch.setattr(Model, "_sounds", counted)
        return sizes

    def test_rows_of_one_shape_are_one_batch(self, micro_model, tmp_path, batches):
        alike = [{"prompt": f"rain {k}", "seed": k, "index": 2 * k, **SETTINGS} for k in range(5)]
        other = {"prompt": "wind", "steps": 2, "duration_s": 0.6}
        made = make(micro_model, *alike, other, folder=tmp_path)
        assert sorted(batches) == [1, 1, 4]
        for one, cells in zip(made, [*alike, other], strict=True):
            (alone,) = micro_model.generate(**cells)
            assert one.result.identity == alone.provenance.identity
            there, expected = (np.int32(x) for x in (samples(one.flac), saved(alone, tmp_path)))
            assert np.abs(there - expected).max() <= 8  # of 2^15: kernels round by batch

    def test_where_a_batch_fails_each_is_made_alone(self, micro_model, tmp_path, monkeypatch):
        monkeypatch.setattr(Model, "run_together", None)
        alike = [{"prompt": "rain", "seed": k, **SETTINGS} for k in range(2)]
        assert [one.result.reason for one in make(micro_model, *alike, folder=tmp_path)] == ["", ""]
