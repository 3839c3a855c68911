"""Published weights: found where they were downloaded, fetched only when asked, read or refused."""

import dataclasses
import re
import shutil
from hashlib import sha256

import numpy as np
import pytest

import hubserver
from embedder_files import vggish_file
from fileserver import serving
from latentfoley.errors import InputError, ModelError
from latentfoley.evaluation.embedders import find_embedder, published
from micro import clap_folder

NAMES = ["cnn14-16k", "cnn14-32k", "vggish"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache/latentfoley/weights"


def test_every_entry_is_complete():
    for name, weights in published.WEIGHTS.items():
        assert re.fullmatch("[0-9a-f]{64}", weights.sha256), name
        assert weights.url.startswith("https://")
        assert weights.licence
    assert published.WEIGHTS["vggish"].sha256.startswith("10086976")  # as its file's name says


def test_downloaded_once_and_found_by_name(monkeypatch, tmp_path, cache):
    content = vggish_file(tmp_path / "v.pth").read_bytes()
    said = []
    with serving(content) as site:
        digest = sha256(content).hexdigest()
        entry = dataclasses.replace(published.WEIGHTS["vggish"], url=site.url, sha256=digest)
        monkeypatch.setitem(published.WEIGHTS, "vggish", entry)
        for _ in range(2):
            published.fetch("vggish", said.append)
    assert len(said) == len(site.asked) == 1
    assert "Apache-2.0" in said[0]
    assert find_embedder("vggish").weights_hash == digest
    (cache / entry.file).write_bytes(content + b"x")  # changed behind our back
    with pytest.raises(ModelError, match="not the published file"):
        find_embedder("vggish")


@pytest.mark.parametrize("spec", ["clap", "vggish=some/file.pth", "clap=folder"])
def test_what_is_given_or_embedded_is_not_fetched(spec):
    published.fetch(spec, pytest.fail)


def test_a_hub_id_is_fetched_only_when_asked():
    with pytest.raises(InputError, match="fetched with --download, and only then"):
        find_embedder("clap=laion/clap-htsat-unfused")
    said = []
    with pytest.raises(ModelError, match="could not be fetched"):
        published.fetch("clap=laion/clap-htsat-unfused", said.append)
    assert published.CLAP_REVISIONS["laion/clap-htsat-unfused"] in said[0]


class TestClap:
    """A published CLAP with a pinned commit, on a hub of our own."""

    SPEC = "clap=somebody/clap"

    @pytest.fixture
    def cached(self, monkeypatch, tmp_path):
        clap_folder(tmp_path / "remote" / "somebody" / "clap")
        monkeypatch.setitem(published.CLAP_REVISIONS, "somebody/clap", hubserver.COMMIT)
        with hubserver.serving(tmp_path / "remote", monkeypatch, tmp_path / "hub"):
            yield tmp_path / "hub" / "models--somebody--clap" / "snapshots"

    def test_it_is_fetched_once(self, cached):
        said = []
        for _ in range(2):
            published.fetch(self.SPEC, said.append)
        assert len(said) == 1
        assert published.find("clap", "somebody/clap") == cached / hubserver.COMMIT

    def test_an_interrupted_download_is_gone_on_with(self, cached):
        published.fetch(self.SPEC, lambda text: None)
        (cached / hubserver.COMMIT / "model.safetensors").unlink()
        with pytest.raises(InputError, match=r"is here in part, .* --download fetches what is"):
            find_embedder(self.SPEC)
        published.fetch(self.SPEC, lambda text: None)
        assert find_embedder(self.SPEC).name == "clap (somebody/clap)"

    def test_another_commit_is_not_the_pinned_one(self, cached, tmp_path):
        shutil.copytree(tmp_path / "remote" / "somebody" / "clap", cached / ("0" * 40))
        with pytest.raises(InputError, match="fetched with --download, and only then"):
            find_embedder(self.SPEC)
        published.fetch(self.SPEC, lambda text: None)
        assert published.find("clap", "somebody/clap") == cached / hubserver.COMMIT


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_an_array_beside_the_tensors_is_read(tmp_path, module):
    """CNN14's file at 16 kHz holds the indices of its sampler, pickled by an older numpy."""
    extra = {"sampler": {"indexes": np.arange(3)}, "iteration": 1}
    path = vggish_file(tmp_path / "w.pth", rename=(b"numpy._core.multiarray", module), **extra)
    assert module in path.read_bytes()
    assert find_embedder(f"vggish={path}").name == "vggish"


@pytest.mark.parametrize("name", NAMES)
def test_they_must_be_given(name):
    with pytest.raises(InputError, match="nothing is downloaded"):
        find_embedder(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_told(name, tmp_path):
    with pytest.raises(ModelError, match="no weight file"):
        find_embedder(f"{name}={tmp_path / 'none.pth'}")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_something_else_is_told(name, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be read"):
        find_embedder(f"{name}={tmp_path / 'x.pth'}")
