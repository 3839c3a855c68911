"""What measures mean: each verdict is that of its figure, and each figure is what it says."""

import shutil

import numpy as np
import pytest
import soundfile

from latentfoley.data.manifest import Entry, write_manifest
from latentfoley.evaluation.metrics.loudness import Levels
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
from latents import encode_folder
from micro import UNET
from runs import course, healthy, write_run
from signals import noise, tone

LOUD, SILENT, CLIPPED = Levels(-20, False, False), Levels(-70, True, False), Levels(-5, False, True)
CAPTIONS = ("rain", "a tone", "the sea", "a dog", "a clock", "noise")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two recordings to train on, and of six held out, with captions."""
    folder = tmp_path_factory.mktemp("data")
    entries = []
    for k in range(8):
        swell = np.linspace(k, 8 - k, 16_000) / 8
        soundfile.write(folder / f"{k}.wav", swell * noise(seed=k), 16_000)
        split, said = ("train", ()) if k < 2 else ("valid", (CAPTIONS[k - 2],))
        entries.append(Entry(path=f"{k}.wav", split=split, captions=said))
    write_manifest(folder / "manifest.jsonl", entries)
    return folder


@pytest.fixture(scope="module")
def cache(data, micro_model_folder, tmp_path_factory):
    """The same, encoded by the micro model."""
    return encode_folder(data, tmp_path_factory.mktemp("encoded"), micro_model_folder)


@pytest.fixture
def run(cache, micro_model_folder, tmp_path):
    """A run of the denoiser that wrote four previews, each the recording over again."""
    recipe = {
        "run": {"folder": "run", "steps": 2000, "batch_size": 2, "learning_rate": 1e-4},
        "data": {"latents": str(cache)},
        "model": UNET.model_dump(mode="json"),
    } | dict.fromkeys(("vae", "clap", "vocoder"), str(micro_model_folder))
    folder = write_run(tmp_path / "run", course(healthy), {"kind": "diffusion", "recipe": recipe})
    (folder / "previews").mkdir()
    sounds = (tone(440), tone(1500), noise(), noise(seed=1))
    for k, sound in enumerate(sounds):
        for row in ("encoded", "generated"):
            soundfile.write(folder / "previews" / f"0000100-{row}-{k}.wav", sound, 16_000)
    return folder


@pytest.fixture
def run_of(data, micro_model_folder, tmp_path):
    """Return a function that gives a finished run of the VAE or of CLAP."""

    def run_of(kind):
        recipe = {"data": {"manifest": str(data / "manifest.jsonl"), "folder": str(data)}}
        facts = {"kind": kind, "recipe": recipe}
        folder = write_run(tmp_path / kind, course(healthy, name="l1"), facts)
        shutil.copytree(micro_model_folder, folder / "model")
        return folder

    return run_of


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

    def test_random_weights_reconstruct_nothing(self, run, run_of):
        for folder, why in ((run, "Or it was trained too briefly"), (run_of("vae"), "has settled")):
            finding = judge_vae(read_run(folder))
            assert finding.status == "found", finding
            assert why in finding.said

    def test_what_the_run_of_the_vae_says_is_known_to_the_denoiser(self, run, run_of):
        vae = run_of("vae")
        facts = (run / "run.json").read_text()
        recipe_vae = read_run(run).recipe["vae"]
        (run / "run.json").write_text(
            facts.replace(f'"vae": "{recipe_vae}"', f'"vae": "{vae / "model"}"')
        )
        assert "has settled" in judge_vae(read_run(run)).said


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

    @pytest.mark.parametrize("kind", ["diffusion", "clap"])
    def test_every_held_out_recording_is_asked_for_its_caption(self, run, run_of, kind):
        finding = judge_texts(read_run(run if kind == "diffusion" else run_of(kind)))
        assert finding.status != "unknown", finding
        assert finding.figure.endswith(" among 6")

    def test_captions_of_too_few_kinds(self, run, latents):
        text = (run / "run.json").read_text()
        before = read_run(run).recipe["data"]["latents"]
        (run / "run.json").write_text(text.replace(before, str(latents)))
        finding = judge_texts(read_run(run))
        assert finding.status == "unknown"
        assert "2 are needed" in finding.said or "4 are needed" in finding.said


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

    def test_a_run_that_gives_back_its_recordings(self, run):
        finding = judge_copies(read_run(run))
        assert finding.status == "found", finding
        assert "generated 0.000, held out" in finding.figure

    def test_and_one_that_gives_back_others(self, run):
        previews = run / "previews"
        for k in range(4):
            sound = tone(300 + 1000 * k) * np.linspace(1, 0, 16_000)
            soundfile.write(previews / f"0000100-generated-{k}.wav", sound, 16_000)
        assert judge_copies(read_run(run)).status == "clear"


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
        finding = judge(read_run(run))
        assert finding.said == "Not measured, because the recipe of the run is not known."

    def test_where_parts_are_elsewhere(self, judge, run):
        text = (run / "run.json").read_text()
        vae = read_run(run).recipe["vae"]
        (run / "run.json").write_text(text.replace(vae, "gone"))
        finding = judge(read_run(run))
        assert finding.status == "unknown"
        assert "'gone'" in finding.said


@pytest.mark.parametrize(("kind", "judge"), [("vae", judge_vae), ("clap", judge_texts)])
class TestNotMeasuredInAPart:
    def test_before_it_has_finished(self, run_of, kind, judge):
        folder = run_of(kind)
        shutil.rmtree(folder / "model")
        assert "the run has not finished" in judge(read_run(folder)).said

    def test_where_data_are_elsewhere(self, run_of, kind, judge, data):
        folder = run_of(kind)
        text = (folder / "run.json").read_text()
        (folder / "run.json").write_text(text.replace(str(data), "gone"))
        finding = judge(read_run(folder))
        assert finding.status == "unknown"
        assert "there is no manifest at gone/manifest.jsonl" in finding.said


def test_a_damaged_preview_is_not_measured(run):
    (run / "previews" / "0000100-generated-1.wav").write_bytes(b"RIFF")
    for judge in (judge_levels, judge_following, judge_copies):
        finding = judge(read_run(run))
        assert finding.status == "unknown"
        assert "0000100-generated-1.wav" in finding.said
