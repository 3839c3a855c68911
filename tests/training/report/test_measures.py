"""What measures mean: each verdict is that of its figure, and each figure is what it says."""

import shutil

import numpy as np
import pytest
import soundfile

from latentfoley.evaluation.level import Levels
from latentfoley.training.report.alignment import (
    Ranks,
    judge_following,
    judge_following_ranks,
    judge_text_ranks,
    judge_texts,
    ranks,
)
from latentfoley.training.report.copies import Nearness, judge_copies, judge_nearness
from latentfoley.training.report.levels import judge_levels, judge_measured
from latentfoley.training.report.reconstruction import (
    Reconstruction,
    judge_reconstruction,
    judge_vae,
)
from latentfoley.training.report.run import read_run
from runs import course, healthy, write_run
from signals import noise, tone

LOUD, SILENT, CLIPPED = Levels(-20, False, False), Levels(-70, True, False), Levels(-5, False, True)


@pytest.fixture
def recipe(micro_model_folder, recordings, tmp_path):
    """The recipe of a denoiser that was trained on the shared recordings, all of them held out."""
    data = shutil.copytree(recordings.parent, tmp_path / "data")
    manifest = data / "manifest.jsonl"
    lines = manifest.read_text().splitlines()
    held_out = [line.replace('"path": "', '"split": "valid", "path": "') for line in lines[:3]]
    manifest.write_text("\n".join(lines[:3] + held_out) + "\n")
    parts = {"vae": str(micro_model_folder), "clap": str(micro_model_folder)}
    return {"data": {"manifest": str(manifest), "folder": str(data)}} | parts


@pytest.fixture
def run(recipe, tmp_path):
    """A run of the denoiser that wrote four previews, each the recording over again."""
    folder = write_run(tmp_path / "run", course(healthy), {"kind": "diffusion", "recipe": recipe})
    (folder / "previews").mkdir()
    sounds = (tone(440, amplitude=0.5), tone(1500, amplitude=0.5), noise(0.5), noise(0.5, seed=1))
    for k, sound in enumerate(sounds):
        for row in ("encoded", "generated"):
            soundfile.write(folder / "previews" / f"0000100-{row}-{k}.wav", sound, 16_000)
    return folder


class TestReconstruction:
    def found(self, ratio, still_falling):
        measured = Reconstruction(ratio, 1.0, 0.1, n=8, compression=4, channels=8)
        return judge_reconstruction(measured, still_falling=still_falling)

    def test_a_good_one(self):
        assert self.found(0.1, True).status == "clear"

    @pytest.mark.parametrize(
        ("still_falling", "says"),
        [(True, "undertrained"), (False, "compresses too hard (4-fold"), (None, "too briefly")],
    )
    def test_a_poor_one_and_why(self, still_falling, says):
        found = self.found(0.8, still_falling)
        assert found.status == "found"
        assert says in found.said

    def test_random_weights_reconstruct_nothing(self, run):
        finding = judge_vae(read_run(run))
        assert finding.status == "found", finding


class TestRanks:
    def test_the_nearest_is_the_first_and_the_farthest_the_last(self):
        cosines = np.array([[0.9, 0.1, 0.2], [0.3, 0.4, 0.5]], dtype=np.float32)
        found = ranks(cosines, np.array([0, 0]))
        assert found.rank == 0.5
        assert found.first == 0.5
        assert found.own == pytest.approx(0.6)
        assert found.other == pytest.approx((0.1 + 0.2 + 0.4 + 0.5) / 4)

    def test_chance_is_a_half(self):
        rng = np.random.default_rng(0)
        cosines = rng.standard_normal((4000, 20)).astype(np.float32)
        found = ranks(cosines, rng.integers(0, 20, 4000))
        assert found.rank == pytest.approx(0.5, abs=0.02)
        assert found.first == pytest.approx(0.05, abs=0.02)

    def test_verdicts(self):
        for rank, status in ((0.0, "clear"), (0.2, "clear"), (0.3, "found"), (0.5, "found")):
            found = Ranks(rank, own=0.5, other=0.1, first=0.5, n=8, n_among=8)
            assert judge_text_ranks(found).status == status
            assert judge_following_ranks(found).status == status

    def test_sounds_that_are_their_condition_follow_it(self, run):
        finding = judge_following(read_run(run))
        assert finding.status == "clear"
        assert "mean rank 0.00" in finding.figure

    def test_captions_of_too_few_kinds(self, run):
        finding = judge_texts(read_run(run))
        assert finding.status == "unknown"
        assert "captions of 3 kinds, and 4 are needed" in finding.said


class TestCopies:
    def nearness(self, made, cosine):
        rng = np.random.default_rng(0)
        return Nearness(
            made_cosine=np.full(8, cosine),
            held_out_cosine=rng.uniform(0.1, 0.3, 40),
            made_mel=np.full(8, made),
            held_out_mel=rng.uniform(0.5, 1.5, 40),
        )

    def test_copies(self):
        assert judge_nearness(self.nearness(0.1, 0.01)).status == "found"

    def test_what_is_near_in_meaning_alone_is_no_copy(self):
        assert judge_nearness(self.nearness(0.9, 0.01)).status == "clear"

    def test_nor_what_is_alike_in_level_alone(self):
        assert judge_nearness(self.nearness(0.1, 0.2)).status == "clear"

    def test_a_run_that_gives_back_its_recordings(self, run, recipe, tmp_path):
        rng = np.random.default_rng(0)
        manifest = ""
        for k in range(6):
            sound = 0.5 * rng.uniform(-1, 1, 8000) * np.linspace(k, 6 - k, 8000) / 6
            soundfile.write(tmp_path / "data" / f"unheard-{k}.wav", sound, 16_000)
            manifest += f'{{"path": "unheard-{k}.wav", "split": "valid"}}\n'
        manifest += '{"path": "tone.wav"}\n{"path": "chirp.wav"}\n'
        (tmp_path / "data" / "manifest.jsonl").write_text(manifest)
        finding = judge_copies(read_run(run))
        assert finding.status == "found", finding
        assert "generated 0.000, held out" in finding.figure


class TestLevels:
    @pytest.mark.parametrize(
        ("made", "real", "status"),
        [
            (LOUD, LOUD, "clear"),
            (SILENT, LOUD, "found"),
            (CLIPPED, LOUD, "found"),
            (SILENT, SILENT, "clear"),
            (CLIPPED, CLIPPED, "clear"),
            (SILENT, None, "found"),
        ],
    )
    def test_verdicts(self, made, real, status):
        names = [str(k) for k in range(8)]
        finding = judge_measured(dict.fromkeys(names, made), dict.fromkeys(names, real))
        assert finding.status == status

    def test_one_spoilt_preview_is_chance(self):
        made = {"0": CLIPPED} | {str(k): LOUD for k in range(1, 8)}
        assert judge_measured(made, dict.fromkeys(made, LOUD)).status == "clear"

    def test_the_last_previews_of_a_run_are_measured(self, run):
        assert judge_levels(read_run(run)).status == "clear"
        for k in range(4):
            path = run / "previews" / f"0000200-generated-{k}.wav"
            soundfile.write(path, 0 * tone(440), 16_000)
        assert judge_levels(read_run(run)).said.startswith("Previews are silent")


@pytest.mark.parametrize("judge", [judge_vae, judge_following, judge_texts, judge_copies])
class TestNotMeasured:
    def test_without_a_recipe(self, judge, run):
        (run / "run.json").unlink()
        assert judge(read_run(run)).status == "unknown"

    def test_where_data_and_parts_are_elsewhere(self, judge, tmp_path):
        recipe = {"vae": "gone", "clap": "gone", "data": {"manifest": "gone", "folder": "gone"}}
        facts = {"kind": "diffusion", "recipe": recipe}
        finding = judge(read_run(write_run(tmp_path, course(healthy), facts)))
        assert finding.status == "unknown"
        assert "'gone' is not here" in finding.said

    def test_in_a_run_that_has_not_finished(self, judge, tmp_path):
        kind = "vae" if judge is judge_vae else "clap"
        facts = {"kind": kind, "recipe": {}}
        finding = judge(read_run(write_run(tmp_path, course(healthy), facts)))
        assert "the run has not finished" in finding.said


def test_a_damaged_preview_is_not_measured(run):
    (run / "previews" / "0000100-generated-1.wav").write_bytes(b"RIFF")
    for judge in (judge_levels, judge_following, judge_copies):
        finding = judge(read_run(run))
        assert finding.status == "unknown"
        assert "a preview cannot be read" in finding.said
