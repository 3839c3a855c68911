"""Work on Ray is the work of one process, shard for shard."""

import signal
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from latentfoley.data.encode import encode
from latentfoley.data.encoder import Source
from latentfoley.data.prepare import prepare
from latentfoley.data.scan import scan
from latentfoley.data.variations import Augmentation
from latentfoley.errors import InputError, MissingExtraError
from latentfoley.on_ray import _own_signals, connected, map_on


def hashes(folder: Path, pattern: str) -> dict[str, str]:
    found = {p.name: sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob(pattern))}
    assert found
    return found


def test_without_ray_it_says_how_to_install_it(recordings, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latentfoley\[ray\]'"):
        scan(recordings.parent, ray=True)


def test_what_ray_prints_does_not_reach_the_output_of_the_command(monkeypatch, capsys):
    module = pytest.importorskip("ray")
    monkeypatch.setattr(module, "is_initialized", lambda: False)
    monkeypatch.setattr(module, "init", lambda **options: None)
    monkeypatch.setattr(module, "shutdown", lambda: None)
    with connected("somewhere"):
        sys.stdout.write("(raylet) a node is dead\n")
    sys.stdout.write("{}\n")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("{}\n", "(raylet) a node is dead\n")


@pytest.fixture(scope="module")
def ray():
    """A Ray of this machine."""
    pytest.importorskip("ray")
    with connected() as module:
        yield module


def _fail(task):
    raise InputError(f"task {task} is refused")


@pytest.mark.slow
def test_what_a_task_raises_is_raised_here(ray):
    with pytest.raises(InputError, match=r"^task 1 is refused$"):
        list(map_on(True, _fail, [1, 2], 1))


@pytest.mark.slow
def test_scans_shards_and_latents_are_those_of_one_process(
    ray, recordings, micro_model_folder, tmp_path
):
    folder = recordings.parent
    assert scan(folder, ray=True) == scan(folder, workers=1)
    source, augmentation = Source(str(micro_model_folder), 0.64, "cpu"), Augmentation(variations=2)
    for on_ray in (True, False):
        place = tmp_path / str(on_ray)
        prepare(folder, place / "shards", workers=1, ray=on_ray, recordings_per_shard=1)
        encode(place / "shards", place / "latents", source, augmentation, ray=on_ray)
    for pattern in ("shards/*.tar", "shards/manifest.jsonl", "latents/*.safetensors"):
        assert hashes(tmp_path / "True", pattern) == hashes(tmp_path / "False", pattern)


def test_ray_keeps_no_signals():
    def mine(number, frame):
        raise AssertionError

    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.signal(number, mine)
        try:
            with _own_signals():
                signal.signal(number, signal.SIG_DFL)  # as Ray does when it starts
            assert signal.getsignal(number) is mine
        finally:
            signal.signal(number, before)
