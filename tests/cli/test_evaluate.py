"""`latentfoley evaluate`: a table, JSON, a page; mistakes are answered before anything is made."""

import copy
import json
import sys

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

import folders
from latentfoley.checkpoints.adapter import write_adapter
from latentfoley.evaluation import evaluate as evaluation
from latentfoley.lora import adapt, adapters
from signals import noise, tone
from weights import randomise


@pytest.fixture
def evaluate(run, tmp_path, micro_model_folder):
    """Return a function that evaluates `made` against `real` with the micro CLAP, quickly."""
    for folder, seed in (("made", 0), ("real", 9)):
        (tmp_path / folder).mkdir()
        for k in range(4):
            sound = noise(0.5, seed=seed + k) if k % 2 else tone(300 * (k + 1), 0.5)
            soundfile.write(tmp_path / folder / f"{k}.wav", sound, 16_000)
    quickly = ("--resamples", 20, "--cache", "cache", "--embedder", f"clap={micro_model_folder}")
    return lambda *words: run("evaluate", "made", "real", *quickly, *words)


def test_the_table_and_its_warnings(evaluate):
    end = evaluate()
    assert end.code == 0, end
    assert "made (4) against real (4)" in end.out
    for name in ("silent clips", "FD", "KAD", "KL softmax"):
        assert name in end.out
    assert "too few" in end.err
    assert "too few clips" in end.out
    assert "CLAP score is left out: 4 clips have no caption" in end.err


def test_json_on_stdout_is_json_alone(evaluate):
    end = evaluate("--json", "-")
    assert end.code == 0
    assert json.loads(end.out)["n_generated"] == 4


def test_files(evaluate, tmp_path):
    assert evaluate("--json", "o/scores.json", "--html", "o/page.html").code == 0
    assert json.loads((tmp_path / "o/scores.json").read_text())["protocol"] == "latentfoley"
    assert (tmp_path / "o/page.html").read_text().startswith("<!doctype html>")


def test_generated_files_are_scored_against_the_prompts_they_carry(run, generate, evaluate):
    assert generate("rain", "a dog", "--out", "rained").code == 0
    end = evaluate()
    assert "no caption" in end.err
    end = run("evaluate", "rained", "real", "--resamples", 20, "--no-cache")
    assert end.code == 0, end
    assert "CLAP score" in end.out
    assert "names differ" in end.err


def test_without_ray_nothing_is_made_and_the_extra_is_named(
    run, evaluate, refused, micro_model_folder, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "c.txt").write_text("rain\na dog\n")
    words = ("evaluate", micro_model_folder, "real", "--captions", "c.txt", "--ray")
    refused(run, *words, says="pip install 'latentfoley[ray]'")
    assert not (tmp_path / "out").exists()


class TestModels:
    """A model instead of sounds: it generates first, into a folder that is kept."""

    @pytest.fixture
    def make(self, evaluate, run, micro_model_folder):
        quickly = ("--steps", 2, "--duration", 0.3, "--resamples", 20, "--no-cache")
        return lambda *words: run("evaluate", micro_model_folder, *words, *quickly)

    def test_from_a_file_of_captions(self, make, tmp_path):
        (tmp_path / "c.txt").write_text("rain\na dog\n")
        end = make("real", "--captions", "c.txt", "--json", "-")
        assert end.code == 0, end
        found = json.loads(end.out)
        assert found["n_generated"] == 2
        assert found["about"]["generated"]["steps"] == "2"
        assert len(list((tmp_path / "out/evaluate").rglob("*.wav"))) == 2
        assert "CLAP score" in end.out

    def test_from_a_data_set_of_its_own_layout(self, make, tmp_path):
        folders.esc50_split(tmp_path / "esc")
        end = make("esc", "--dataset", "esc50", "--split", "2", "--json", "-")
        assert end.code == 0, end
        found = json.loads(end.out)
        assert found["about"]["reference"]["split"] == "2"
        assert (found["n_generated"], found["n_reference"]) == (2, 2)
        assert not any("names differ" in warning for warning in found["warnings"])

    @pytest.fixture
    def score(self, make, tmp_path):
        """Return a function that scores two clips of the model, and how many are on disk then."""
        (tmp_path / "c.txt").write_text("rain\na dog\n")

        def score(*words):
            end = make("real", "--captions", "c.txt", "--json", "-", *words)
            assert end.code == 0, end
            found = json.loads(end.out)
            sets = list((tmp_path / "out/evaluate").iterdir())
            return found["about"]["generated"], found["sections"], len(sets)

        return score

    def test_an_adapter_has_clips_and_scores_of_its_own(self, score, tmp_path, micro_model):
        unet = copy.deepcopy(micro_model.unet)
        adapt(unet, 2, 1.0, ("to_q", "class_embedding"))
        for adapter in adapters(unet).values():
            randomise(adapter)
        parts = {"alpha": 2.0, "targets": ("to_q", "class_embedding"), "trained_from": "micro"}
        write_adapter(tmp_path / "adapter", adapters(unet), **parts)
        plain, adapted = score(), score("--lora", "adapter")
        assert adapted[0]["adapter"]
        assert plain[1] != adapted[1]
        assert (plain[2], adapted[2]) == (1, 2)

    def test_changed_weights_have_clips_and_scores_of_their_own(self, score, micro_model_folder):
        before = score()
        file = micro_model_folder / "unet/diffusion_pytorch_model.safetensors"
        whole = file.read_bytes()
        try:
            save_file({name: 1.01 * tensor for name, tensor in load_file(file).items()}, file)
            after = score()
        finally:
            file.write_bytes(whole)
        assert before[1] != after[1]
        assert (before[2], after[2]) == (1, 2)
        assert score()[1:] == (before[1], 2)

    def test_settings_of_a_model_are_refused_for_sounds(self, evaluate, run, refused):
        words = ("evaluate", "made", "real", "--no-cache", "--steps", "3")
        refused(run, *words, says="--steps says how a model generates, and 'made' is no model")

    def test_a_model_without_captions(self, evaluate, run, refused):
        words = ("evaluate", "tiny", "real", "--no-cache")
        refused(run, *words, says="a model needs captions, and '0' of 'real' has none")

    def test_a_mistyped_data_set_and_a_wrong_one(self, evaluate, run, refused):
        words = ("evaluate", "tiny", "real", "--dataset")
        refused(run, *words, "audiocap", says="Did you mean 'audiocaps'?")
        refused(run, *words, "esc50", says="'real' is not laid out as esc50")
        refused(run, "evaluate", "made", "real", "--split", "test", says="name it with --dataset")


class TestMistakes:
    def test_an_empty_folder(self, evaluate, run, refused, tmp_path):
        (tmp_path / "none").mkdir()
        refused(run, "evaluate", "none", "real", says="'none' holds no recordings")

    def test_one_clip(self, evaluate, run, refused, tmp_path):
        (tmp_path / "one").mkdir()
        soundfile.write(tmp_path / "one/a.wav", noise(), 16_000)
        refused(run, "evaluate", "made", "one", says="'one' holds one recording")

    def test_a_file_that_cannot_be_read(self, evaluate, run, refused, tmp_path):
        (tmp_path / "made/9.wav").write_bytes(b"not a recording")
        refused(run, "evaluate", "made", "real", says=["1 of the files of 'made'", "9.wav"])

    def test_silence(self, evaluate, run, refused, tmp_path):
        for k in range(4):
            soundfile.write(tmp_path / f"real/{k}.wav", np.zeros(8000), 16_000)
        refused(run, "evaluate", "made", "real", "--no-cache", says="all 4 reference clips")

    def test_reports_that_cannot_be_written_are_refused_before_the_work(
        self, evaluate, run, refused, monkeypatch
    ):
        monkeypatch.setattr(evaluation, "evaluate", None)
        for suffix in ("json", "html"):
            words = ("evaluate", "made", "real", "--no-cache", f"--{suffix}")
            refused(run, *words, "made", says="'made' is a folder; give the name of a file")
            refused(run, *words, f"made/0.wav/page.{suffix}", says="'made/0.wav' is a file")

    def test_a_mistyped_embedder(self, evaluate, run, refused):
        words = ("evaluate", "made", "real", "--no-cache", "--embedder", "vgish=x")
        refused(run, *words, says="Did you mean 'vggish'?")

    def test_weights_that_were_not_given(self, evaluate, run, refused):
        words = ("evaluate", "made", "real", "--no-cache", "--embedder", "cnn14-16k")
        refused(run, *words, says=["Cnn14_16k_mAP=0.438.pth, or --download", "nothing is"])

    def test_a_mistyped_protocol(self, evaluate, run, refused):
        words = ("evaluate", "made", "real", "--no-cache", "--protocol", "audioldm")
        refused(run, *words, says="Did you mean 'audioldm_eval'?")


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_recording_is_not_replaced_by_a_report(evaluate, refused, tmp_path, option):
    soundfile.write(tmp_path / "mine.wav", tone(), 16_000)
    content = (tmp_path / "mine.wav").read_bytes()
    refused(evaluate, option, "mine.wav", says="'mine.wav' is no name for a report; allowed: .")
    assert (tmp_path / "mine.wav").read_bytes() == content
