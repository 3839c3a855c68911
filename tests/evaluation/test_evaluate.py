"""From two folders to scores: how silence, noise, order, pairs and re-generation move them."""

import shutil

import numpy as np
import pytest
import soundfile

from latentfoley.errors import AudioFileError, InputError
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.metrics.score import Bootstrap
from signals import noise

pytestmark = pytest.mark.usefixtures("bands")


def settings(**changes):
    return Settings(embedders=("bands",), bootstrap=Bootstrap(resamples=20), **changes)


def scores(made, real, **changes):
    evaluation = evaluate(made, real, settings(**changes))
    return {score.name: score for part in evaluation.sections for score in part.scores}


def value(made, real, name, **changes):
    return scores(made, real, **changes)[name].value


def overwrite(folder, sound, names):
    for name in names:
        soundfile.write(folder / name, sound, 16_000)


class TestMoves:
    def test_a_set_against_itself_is_perfect(self, sets):
        found = scores(sets[1], sets[1])
        assert found["FD"].value == pytest.approx(0, abs=1e-9)
        assert found["KL softmax"].value == 0
        assert found["KAD"].value < 0  # unbiased: below zero for the very same clips

    @pytest.mark.parametrize("name", ["FD", "KAD", "KID", "FD per clip", "KL softmax"])
    def test_noise_instead_of_sounds_is_worse(self, sets, name):
        before = value(*sets, name)
        for k in range(24):
            overwrite(sets[0], noise(0.3, amplitude=0.9, seed=k), [f"{k:02d}.wav"])
        assert value(*sets, name) > before

    @pytest.mark.parametrize("name", ["FD", "KAD", "KID", "FD per clip", "KL softmax"])
    def test_silence_in_half_of_the_clips_is_worse(self, sets, name):
        before = value(*sets, name)
        overwrite(sets[0], np.zeros(4800, np.float32), [f"{k:02d}.wav" for k in range(12)])
        after = scores(*sets)
        assert after[name].value > before
        assert after["silent clips"].value == 0.5

    def test_shuffled_pairs_move_scores_of_pairs_and_no_other(self, sets, tmp_path):
        before = scores(*sets)
        shuffled = tmp_path / "shuffled"
        shuffled.mkdir()
        for k in range(24):
            shutil.copy(sets[0] / f"{k:02d}.wav", shuffled / f"{(k + 1) % 24:02d}.wav")
        after = scores(shuffled, sets[1])
        assert after["KL softmax"].value > before["KL softmax"].value
        for name in ("FD", "KAD", "KID", "IS", "diversity"):
            assert after[name].value == pytest.approx(before[name].value, rel=1e-6), name

    def test_other_names_in_both_folders_change_nothing(self, sets):
        before = scores(*sets)
        for folder in sets:
            for k in range(24):
                (folder / f"{k:02d}.wav").rename(folder / f"clip-{99 - k}.wav")
        after = scores(*sets)
        for name in before:
            if "∞" not in name:  # its subsets are drawn by place
                assert after[name].value == pytest.approx(before[name].value, rel=1e-6), name

    def test_copies_of_training_clips_are_found(self, sets, tmp_path):
        assert value(sets[1], sets[0], "memorised clips", training=sets[1]) == 1.0
        assert value(*sets, "memorised clips", training=sets[1]) < 1.0

    def test_a_reconstruction_is_scored_pair_by_pair(self, sets):
        good = scores(sets[1], sets[1], reconstruction=True)
        bad = scores(*sets, reconstruction=True)
        assert good["LSD"].value == 0 < bad["LSD"].value
        assert bad["SSIM"].value < good["SSIM"].value == pytest.approx(1)


class TestCache:
    def test_the_second_run_hears_nothing_again(self, sets, bands, tmp_path):
        first = scores(*sets, cache=tmp_path / "cache")
        assert bands.calls == 48
        second = scores(*sets, cache=tmp_path / "cache")
        assert bands.calls == 48
        assert first == second

    def test_a_generated_folder_made_anew_is_heard_anew(self, sets, bands, tmp_path):
        before = value(*sets, "FD", cache=tmp_path / "cache")
        for k in range(24):  # same folder, same names, other sounds
            overwrite(sets[0], noise(0.3, amplitude=0.9, seed=k), [f"{k:02d}.wav"])
        after = value(*sets, "FD", cache=tmp_path / "cache")
        assert after > before
        assert after == value(*sets, "FD", cache=None)

    def test_other_weights_are_heard_anew(self, sets, bands, tmp_path, monkeypatch):
        scores(*sets, cache=tmp_path / "cache")
        monkeypatch.setattr(bands, "weights_hash", "c" * 64)
        scores(*sets, cache=tmp_path / "cache")
        assert bands.calls == 96


class TestRecord:
    def test_everything_a_score_depends_on_is_told(self, sets):
        record = evaluate(*sets, settings()).to_record()
        section = record["sections"][1]
        assert section["embedder"] == "bands"
        assert section["weights_hash"] == "b" * 64
        assert section["preprocessing"]["resampler"] == "soxr-hq"
        for score in section["scores"]:
            assert score["n"] == 24
            assert score["interval"][0] <= score["value"] <= score["interval"][1]
            assert score["caveat"]
        kl = next(score for score in section["scores"] if score["name"] == "KL softmax")
        assert set(kl["per_clip"]) == {f"{k:02d}" for k in range(24)}

    def test_what_cannot_be_scored_is_a_warning(self, sets):
        for k in range(10, 24):
            (sets[0] / f"{k}.wav").unlink()
        evaluation = evaluate(*sets, settings())
        names = [score.name for part in evaluation.sections for score in part.scores]
        assert "KL softmax" not in names
        assert "FD∞" not in names
        assert any("names differ" in warning for warning in evaluation.warnings)
        assert any("20 generated clips" in warning for warning in evaluation.warnings)


class TestRefused:
    def test_silence(self, sets):
        overwrite(sets[0], np.zeros(4800, np.float32), [f"{k:02d}.wav" for k in range(24)])
        with pytest.raises(InputError, match="all 24 generated clips"):
            evaluate(*sets, settings())

    def test_a_damaged_clip(self, sets):
        path = sets[1] / "07.wav"
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(AudioFileError, match=r"07\.wav"):
            evaluate(*sets, settings())

    def test_reconstruction_without_pairs(self, sets):
        (sets[0] / "00.wav").unlink()
        with pytest.raises(InputError, match="same name"):
            evaluate(*sets, settings(reconstruction=True))

    def test_a_protocol_that_is_not(self, sets):
        with pytest.raises(InputError, match="audioldm_eval"):
            evaluate(*sets, settings(protocol="audioldm-eval"))

    def test_an_embedder_that_the_protocol_has_not(self, sets):
        with pytest.raises(InputError, match="no embedder 'bands'"):
            evaluate(*sets, settings(protocol="audioldm_eval"))


class TestEmbeddedEars:
    """The same through the embedder that everyone has: the CLAP of the embedded model."""

    @pytest.fixture(scope="class")
    def heard(self, tmp_path_factory, write_sounds):
        """Scores of sounds, of the same with silence in half of them, and of noise instead."""
        folder = tmp_path_factory.mktemp("ears")
        made, real = write_sounds(folder, "made", 0), write_sounds(folder, "real", 100)
        silenced, noises = (shutil.copytree(made, folder / name) for name in ("half", "noise"))
        overwrite(silenced, np.zeros(4800, np.float32), [f"{k:02d}.wav" for k in range(12)])
        for k in range(24):
            overwrite(noises, noise(0.3, amplitude=0.9, seed=k), [f"{k:02d}.wav"])
        how = Settings(bootstrap=Bootstrap(resamples=5))
        return {
            side.name: {
                score.name: score.value
                for part in evaluate(side, real, how).sections
                for score in part.scores
            }
            for side in (made, silenced, noises)
        }

    @pytest.mark.parametrize("name", ["FD", "FD∞", "KAD", "KID", "KL softmax"])
    @pytest.mark.parametrize("side", ["half", "noise"])
    def test_silence_and_noise_are_worse(self, heard, side, name):
        assert heard[side][name] > heard["made"][name]

    def test_noise_is_less_like_the_reference(self, heard):
        assert heard["noise"]["CLAP audio-audio"] < heard["made"]["CLAP audio-audio"]
        assert heard["noise"]["diversity"] < heard["made"]["diversity"]

    def test_the_mean_of_fd_per_clip_is_fooled_by_clips_that_are_alike(self, heard):
        assert heard["noise"]["FD per clip"] < heard["made"]["FD per clip"]  # as its caveat says
