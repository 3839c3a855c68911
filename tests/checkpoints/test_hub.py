"""Downloads by the real client from a hub on this machine: resumed, checked, offline, mirrored."""

import contextlib
import shutil
import socket
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import load_file

import latentfoley
from hubserver import COMMIT, serving
from latentfoley.checkpoints.hub import MIRROR, check, fetch, local_folder, require_reachable
from latentfoley.checkpoints.registry import PUBLISHED, Published
from latentfoley.checkpoints.tensors import hash_file
from latentfoley.errors import ModelError
from latentfoley.loading import find_folder

UNET = "unet/diffusion_pytorch_model.safetensors"
NAME = "somebody/audioldm-mini"


@pytest.fixture(scope="module")
def remote(micro_model_folder, tmp_path_factory):
    """What stands on the hub."""
    root = tmp_path_factory.mktemp("remote")
    shutil.copytree(micro_model_folder, root / NAME)
    (root / NAME / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"never asked for")
    (root / NAME / "training.log").write_text("never asked for")
    return root


@pytest.fixture
def hub(remote, tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    with serving(remote, monkeypatch, tmp_path / "cache") as hub:
        yield hub


def downloads(hub):
    """Return the files that were asked for, not only looked up."""
    return [path for command, path, _ in hub.requests if command == "GET" and "/resolve/" in path]


class TestFetch:
    def test_a_model_loads_by_its_id(self, hub):
        model = latentfoley.load(NAME, revision="main", device="cpu")
        assert len(model.generate("rain", duration_s=0.1, steps=1)) == 1
        assert model.folder.name == COMMIT
        asked = {path.partition("/resolve/")[2] for _, path, _ in hub.requests}
        assert not any("log" in path or path.endswith(".bin") for path in asked)

    def test_it_is_fetched_once(self, hub):
        first = fetch(NAME)
        assert len(downloads(hub)) > 10
        hub.requests.clear()
        assert fetch(NAME) == first
        assert downloads(hub) == []

    def test_older_weights_where_there_are_no_others(self, hub, remote, tmp_path):
        folder = shutil.copytree(remote / NAME, tmp_path / "remote" / "a" / "b")
        torch.save(load_file(folder / UNET), (folder / UNET).with_suffix(".bin"))
        (folder / UNET).unlink()
        hub.root = tmp_path / "remote"
        assert latentfoley.load("a/b", device="cpu").config.unet.block_channels == (8, 16, 32)

    def test_a_connection_that_is_cut(self, hub):
        hub.cut.add(UNET)
        folder = fetch(NAME)
        assert hash_file(folder / UNET) == hash_file(hub.root / NAME / UNET)
        assert any(wanted and path.endswith(UNET) for _, path, wanted in hub.requests)

    def test_what_arrives_damaged_is_refused_and_alone_fetched_again(self, hub):
        hub.damaged.add(UNET)
        message = r"arrived damaged: its SHA-256 is .*, expected .*removed"
        with pytest.raises(ModelError, match=message):
            fetch(NAME)
        hub.damaged.clear()
        hub.requests.clear()
        assert hash_file(fetch(NAME) / UNET) == hash_file(hub.root / NAME / UNET)
        assert [path.rpartition("/resolve/")[2] for path in downloads(hub)] == [f"{COMMIT}/{UNET}"]

    def test_offline_what_is_there_is_used(self, hub, monkeypatch):
        folder = fetch(NAME)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        hub.requests.clear()
        assert fetch(NAME) == folder == local_folder(NAME)
        assert hub.requests == []

    def test_offline_what_is_not_there_is_explained(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        message = rf"'{NAME}' could not be fetched .* Without network, .* {MIRROR} .* 'tiny'"
        with pytest.raises(ModelError, match=message):
            fetch(NAME)
        assert local_folder(NAME) is None

    def test_no_such_model(self, hub):
        with pytest.raises(ModelError, match="no folder 'a/nothing', and 'a/nothing' could"):
            find_folder("a/nothing")

    def test_a_hub_that_does_not_answer(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", None)  # no retries
        with pytest.raises(ModelError, match=r"it is not here, and http.*does not answer"):
            fetch(NAME)

    def test_what_is_there_is_used_where_the_hub_does_not_answer(self, hub, monkeypatch):
        folder = fetch(NAME)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        assert fetch(NAME) == folder

    def test_a_name_that_is_looked_up_for_ever(self, hub, monkeypatch):
        waiting = threading.Event()
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [] * waiting.wait(60))
        monkeypatch.setattr("latentfoley.checkpoints.hub._ANSWER_S", 0.05)
        try:
            with pytest.raises(ModelError, match="does not answer"):
                fetch(NAME)
        finally:
            waiting.set()

    def test_no_line_but_ours_is_printed(self, hub, monkeypatch, capfd):
        """A hub that answers the probe and nothing after it."""
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)

            def hang_up():
                with contextlib.suppress(OSError):
                    while True:
                        server.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            with pytest.raises(ModelError, match="could not be fetched"):
                fetch(NAME)
            server.shutdown(socket.SHUT_RDWR)
        assert capfd.readouterr() == ("", "")


class TestReachable:
    """Asked before torch is imported."""

    def test_a_name_that_is_nowhere(self, hub, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        for name in (NAME, "audioldm-s-full-v2"):
            with pytest.raises(ModelError, match=r"it is not here, and http.*does not answer"):
                require_reachable(name)

    def test_what_is_here_or_no_name_of_the_hub(self, hub, monkeypatch, tmp_path):
        fetch(NAME)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        for name in (NAME, "tiny", str(tmp_path), "./no/thing.ckpt", "a.ckpt", ""):
            require_reachable(name)

    def test_a_hub_that_answers(self, hub):
        require_reachable("a/nothing")  # whether it has that, `load` finds out

    def test_nothing_heavy_is_imported(self):
        program = (
            "import sys\n"
            "from latentfoley.checkpoints.hub import require_reachable\n"
            "require_reachable('tiny')\n"
            "assert 'torch' not in sys.modules"
        )
        end = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
        assert end.stderr == b""


class TestMirror:
    def test_it_comes_first(self, remote, monkeypatch):
        monkeypatch.setenv(MIRROR, str(remote))
        assert fetch(NAME) == remote / NAME == local_folder(NAME)

    def test_one_that_is_no_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv(MIRROR, str(tmp_path / "nowhere"))
        with pytest.raises(ModelError, match=f"{MIRROR} is '.*nowhere', which is no folder"):
            fetch(NAME)


class TestPublished:
    def test_a_short_name(self, remote, monkeypatch, tmp_path):
        shutil.copytree(remote / NAME, tmp_path / "cvssp" / "audioldm")
        monkeypatch.setenv(MIRROR, str(tmp_path))
        assert find_folder("audioldm-s-full") == tmp_path / "cvssp" / "audioldm"

    def test_one_that_was_never_converted(self):
        with pytest.raises(ModelError, match=r"a \.ckpt only: get it from Zenodo record 7813012"):
            find_folder("audioldm-s-text-ft")

    def test_files_that_are_as_published_and_one_that_is_not(self, remote, monkeypatch):
        digest = hash_file(remote / NAME / UNET)
        known = {UNET: (digest[:8], digest[-4:]), "not/there": ("0", "0")}
        entry = Published("S", NAME, 0, 1, hashes=known)
        monkeypatch.setitem(PUBLISHED, "mini", entry)
        assert check(NAME, remote / NAME) == [UNET]
        monkeypatch.setitem(PUBLISHED, "mini", Published("S", NAME, 0, 1, hashes={UNET: ("0", "")}))
        with pytest.raises(ModelError, match="is not the published file: its SHA-256 is"):
            check(NAME, remote / NAME)

    def test_sizes_are_those_of_the_files(self):
        sizes = {name: entry.n_bytes for name, entry in PUBLISHED.items()}
        assert sizes["audioldm-s-full-v2"] == pytest.approx(1.684e9, rel=1e-3)
        assert sizes["audioldm-l-full"] == pytest.approx(3.90e9, rel=1e-2)
