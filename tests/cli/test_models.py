"""`latentfoley models …`: what is listed and said, and what conversions leave behind."""

import json
import shutil

import pytest
import torch

import authors
import latentfoley
import micro
from latentfoley.checkpoints.hub import MIRROR
from latentfoley.checkpoints.original import read_state
from latentfoley.checkpoints.registry import PUBLISHED


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory):
    """A checkpoint in miniature and a tokenizer beside it; read only."""
    folder = tmp_path_factory.mktemp("files")
    shapes = authors.small()
    word = "cond_stage_model.model.text_branch.embeddings.word_embeddings.weight"
    shapes[word] = (len(micro.VOCABULARY), 64)
    torch.save({"state_dict": authors.checkpoint(shapes)}, folder / "mini.ckpt")
    micro.tokenizer().save_pretrained(folder / "tokenizer")
    return folder / "mini.ckpt"


@pytest.fixture
def tokenizer(ckpt):
    return ckpt.parent / "tokenizer"


def files(folder):
    return sorted(file.name for file in folder.iterdir())


class TestList:
    def test_every_published_name(self, run):
        end = run("models", "list")
        assert end.code == 0
        lines = end.out.splitlines()
        assert [line.split()[0] for line in lines] == ["tiny", *PUBLISHED]
        assert "1.68 GB  CC BY-NC-SA 4.0 (non-commercial)  hub cvssp/audioldm-s-full-v2" in end.out
        assert "a .ckpt on Zenodo" in lines[-1]

    def test_as_json_with_what_is_here(self, run, micro_model_folder, monkeypatch, tmp_path):
        shutil.copytree(micro_model_folder, tmp_path / "m" / "cvssp" / "audioldm")
        monkeypatch.setenv(MIRROR, str(tmp_path / "m"))
        rows = {row["name"]: row for row in json.loads(run("models", "list", "--json").out)}
        assert rows["audioldm-s-full"]["path"] == str(tmp_path / "m" / "cvssp" / "audioldm")
        assert rows["audioldm-l-full"]["path"] is None
        assert rows["audioldm-m-full"]["unet_parameters"] == 415_954_568


class TestInfo:
    def test_which_settings_are_active_and_why(self, run, ckpt):
        for compat, heads, eps in (
            (
                "trained",
                "1, 2, 3 (trained with 32 channels per head",
                "1e-05 (trained with roberta",
            ),
            ("diffusers", "8, 8, 8 (diffusers reads 8 as heads", "1e-12 (written in"),
        ):
            end = run("models", "info", ckpt, "--compat", compat)
            assert end.code == 0
            assert f"attention heads  {heads}" in end.out
            assert f"text LayerNorm ε {eps}" in end.out

    def test_of_the_embedded_model(self, run):
        end = run("models", "info", "tiny")
        assert (end.code, end.err) == (0, "")
        assert "audio_encoder" in end.out and "float16" in end.out and "MODEL_CARD.md" in end.out

    def test_as_json(self, run, micro_model_folder):
        facts = json.loads(run("models", "info", micro_model_folder, "--json").out)
        assert facts["heads"] == {"value": [1, 2, 4], "why": facts["heads"]["why"]}
        assert set(facts["parts"]) == {"unet", "vae", "vocoder", "text_encoder", "audio_encoder"}
        assert facts["audio_tower"] is True

    def test_no_such_model(self, run, refused):
        refused(run, "models", "info", "audioldm-s-ful", says="Did you mean 'audioldm-s-full'?")

    def test_no_such_reading(self, run, refused):
        says = ["compat 'trainde' is not known", "Did you mean 'trained'?"]
        refused(run, "models", "info", "tiny", "--compat", "trainde", says=says)


class TestDownload:
    def test_from_a_mirror(self, run, micro_model_folder, monkeypatch, tmp_path):
        place = tmp_path / "m" / "somebody" / "mini"
        shutil.copytree(micro_model_folder, place)
        monkeypatch.setenv(MIRROR, str(tmp_path / "m"))
        end = run("models", "download", "somebody/mini")
        assert (end.code, end.out) == (0, f"{place}\n")

    def test_without_network(self, run, refused):
        says = ["'cvssp/audioldm-s-full-v2' could not be fetched", "Without network, give a folder"]
        refused(run, "models", "download", "audioldm-s-full-v2", says=says)

    def test_a_ckpt_only(self, run, refused):
        says = ["a .ckpt only", "https://zenodo.org/records/7813012", "models convert"]
        refused(run, "models", "download", "audioldm-m-text-ft", says=says)


class TestConvert:
    def test_there_and_back(self, run, ckpt, tokenizer, tmp_path):
        end = run("models", "convert", ckpt, "folder", "--tokenizer", tokenizer)
        assert (end.code, end.err) == (0, "") and end.out.startswith("folder  ")
        assert files(tmp_path) == ["folder"]
        model = latentfoley.load(tmp_path / "folder", device="cpu")
        assert model.config.unet.heads == (1, 2, 3)
        assert run("models", "export", "folder", "back.ckpt", "--to", "ckpt").code == 0
        first, second = read_state(ckpt), read_state(tmp_path / "back.ckpt")
        name = "first_stage_model.encoder.mid.attn_1.q.weight"
        assert torch.equal(first[name], second[name])

    def test_the_last_weights(self, run, ckpt, tokenizer, tmp_path):
        words = ("--tokenizer", tokenizer, "--no-ema")
        assert run("models", "convert", ckpt, "folder", *words).code == 0
        last = read_state(ckpt)["model.diffusion_model.out.2.bias"]
        assert torch.equal(latentfoley.load(tmp_path / "folder").unet.conv_out.bias.cpu(), last)

    def test_to_diffusers(self, run, micro_model_folder, tmp_path):
        words = ("models", "export", micro_model_folder, "out", "--to", "diffusers")
        assert run(*words).code == 0
        assert "model_index.json" in files(tmp_path / "out")
        assert run(*words).code == 2  # it exists now

    def test_without_a_tokenizer(self, run, refused, ckpt):
        says = ["a checkpoint file holds no tokenizer", "the tokenizer/ of any published model"]
        refused(run, "models", "convert", ckpt, "out", says=says)

    def test_what_is_no_checkpoint(self, run, refused, tmp_path):
        (tmp_path / "x.ckpt").write_bytes(b"PK\x03\x04" + bytes(100))
        refused(run, "models", "convert", "x.ckpt", "out", says="truncated or no torch file")

    def test_a_format_that_is_none(self, run, refused):
        refused(run, "models", "export", "tiny", "out", "--to", "onnx", says="'diffusers', 'ckpt'")

    def test_what_diffusers_has_no_class_for(self, run, refused):
        says = ["cannot be loaded by diffusers", "a vocoder of spectra"]
        refused(run, "models", "export", "tiny", "out", "--to", "diffusers", says=says)

    def test_what_the_format_has_no_place_for(self, run, refused):
        says = ["cannot be a .ckpt", "a network that predicts v", "--to diffusers"]
        refused(run, "models", "export", "tiny", "x.ckpt", "--to", "ckpt", says=says)
