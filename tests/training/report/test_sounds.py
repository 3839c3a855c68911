"""What sounds show: each finding is that of its figure, and each figure is what it says."""

import shutil

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from latentfoley.data.metadata import Entry, write_manifest
from latentfoley.levels import Levels
from latentfoley.training.report.measures import Nearness, Ranks, rank
from latentfoley.training.report.run import read_run
from latentfoley.training.report.sounds import (
    COPIES,
    FOLLOWING,
    SPOILT,
    TEXT,
    alignment,
    copies,
    diagnose_sounds,
    following,
    spoilt,
)
from latents import encode_folder
from micro import UNET
from runs import course, healthy, write_run
from signals import noise, tone

LOUD = Levels(-20, -6, 0.0, silent=False, clipped=False)
SILENT = Levels(-70, -120, 1.0, silent=True, clipped=False)
CLIPPED = Levels(-5, 0, 0.0, silent=False, clipped=True)
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
        metadata = {"kind": kind, "recipe": recipe}
        folder = write_run(tmp_path / kind, course(healthy, name="l1"), metadata)
        shutil.copytree(micro_model_folder, folder / "model")
        return folder

    return run_of


def found(folder, name):
    """Return the finding of one failure in the folder of a run."""
    (finding,) = [one for one in diagnose_sounds(read_run(folder)) if one.name == name]
    return finding


class TestRanks:
    def test_the_nearest_is_the_first_and_the_farthest_the_last(self):
        angles = torch.tensor([0.0, 0.3, 0.5])
        among = torch.stack([angles.cos(), angles.sin()], dim=1)
        measured = rank(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), among, [0, 0])
        assert measured.rank == 0.5
        assert measured.own == pytest.approx(0.5)
        rest = np.cos([0.3, 0.5]).sum() + np.sin([0.3, 0.5]).sum()
        assert measured.other == pytest.approx(rest / 4)
        assert (measured.n, measured.n_among) == (2, 3)

    def test_chance_is_a_half(self):
        random = torch.Generator().manual_seed(0)
        E = F.normalize(torch.randn(4000, 16, generator=random), dim=1)
        among = F.normalize(torch.randn(20, 16, generator=random), dim=1)
        own = torch.randint(20, (4000,), generator=random).tolist()
        assert rank(E, among, own).rank == pytest.approx(0.5, abs=0.02)

    def test_findings(self):
        for r, status in ((0.0, "clear"), (0.2, "clear"), (0.3, "found"), (0.5, "found")):
            measured = Ranks(r, own=0.5, other=0.1, n=8, n_among=8)
            assert alignment(measured).status == following(measured).status == status

    def test_sounds_that_are_their_condition_follow_it(self, run):
        finding = found(run, FOLLOWING)
        assert finding.status == "clear"
        assert "mean rank 0.00" in finding.figure

    @pytest.mark.parametrize("kind", ["diffusion", "clap"])
    def test_every_held_out_recording_is_asked_for_its_caption(self, run, run_of, kind):
        finding = found(run if kind == "diffusion" else run_of(kind), TEXT)
        assert finding.status != "unknown", finding
        assert finding.figure.endswith(" among 6")

    def test_captions_of_too_few_kinds(self, run, latents):
        text = (run / "run.json").read_text()
        before = read_run(run).recipe["data"]["latents"]
        (run / "run.json").write_text(text.replace(before, str(latents)))
        finding = found(run, TEXT)
        assert finding.status == "unknown"
        assert "2 are needed" in finding.advice or "4 are needed" in finding.advice


class TestCopies:
    def nearness(self, mel, cosine):
        rng = np.random.default_rng(0)
        return Nearness(
            generated=np.full(8, cosine),
            held_out=rng.uniform(0.1, 0.3, 40),
            generated_mel=np.full(8, mel),
            held_out_mel=rng.uniform(0.5, 1.5, 40),
        )

    def test_copies(self):
        assert copies(self.nearness(0.1, 0.01)).status == "found"

    def test_what_is_near_in_meaning_alone_is_no_copy(self):
        assert copies(self.nearness(0.9, 0.01)).status == "clear"

    def test_nor_what_is_alike_in_level_alone(self):
        assert copies(self.nearness(0.1, 0.2)).status == "clear"

    def test_a_run_that_returns_its_recordings(self, run):
        finding = found(run, COPIES)
        assert finding.status == "found", finding
        assert "generated 0.000, held out" in finding.figure

    def test_and_one_that_returns_others(self, run):
        previews = run / "previews"
        for k in range(4):
            sound = tone(300 + 1000 * k) * np.linspace(1, 0, 16_000)
            soundfile.write(previews / f"0000100-generated-{k}.wav", sound, 16_000)
        assert found(run, COPIES).status == "clear"


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
    def test_findings(self, made, real, status):
        assert spoilt([(made, real)] * 8).status == status

    def test_one_spoilt_preview_is_chance(self):
        assert spoilt([(CLIPPED, LOUD)] + [(LOUD, LOUD)] * 7).status == "clear"

    def test_the_last_previews_of_a_run_are_measured(self, run):
        assert found(run, SPOILT).status == "clear"
        for k in range(4):
            path = run / "previews" / f"0000200-generated-{k}.wav"
            soundfile.write(path, 0 * tone(440), 16_000)
        assert found(run, SPOILT).advice.startswith("Previews are silent")


class TestNotMeasured:
    @pytest.mark.parametrize("name", [COPIES, FOLLOWING, TEXT])
    def test_where_parts_are_elsewhere(self, name, run):
        text = (run / "run.json").read_text()
        vae = read_run(run).recipe["vae"]
        (run / "run.json").write_text(text.replace(vae, "gone"))
        finding = found(run, name)
        assert finding.status == "unknown"
        assert "'gone'" in finding.advice

    def test_before_a_clap_has_finished(self, run_of):
        folder = run_of("clap")
        shutil.rmtree(folder / "model")
        assert "the run has not finished" in found(folder, TEXT).advice

    def test_where_the_data_are_elsewhere(self, run_of, data):
        folder = run_of("clap")
        text = (folder / "run.json").read_text()
        (folder / "run.json").write_text(text.replace(str(data), "gone"))
        finding = found(folder, TEXT)
        assert finding.status == "unknown"
        assert "there is no manifest at gone/manifest.jsonl" in finding.advice

    @pytest.mark.parametrize("name", [SPOILT, FOLLOWING, COPIES])
    def test_a_damaged_preview(self, run, name):
        (run / "previews" / "0000100-generated-1.wav").write_bytes(b"RIFF")
        finding = found(run, name)
        assert finding.status == "unknown"
        assert "0000100-generated-1.wav" in finding.advice
