"""The whole chain with every place remote: the bytes of a local run, resumed like one.

It runs in this process on `memory://`, and on an S3-compatible server on loopback where the
packages for that are installed.
"""

import shutil
from contextlib import contextmanager

import pytest
import torch

from folders import sound, write
from latentfoley.cluster.chunk import BatchSettings, Chunk, make_chunk
from latentfoley.cluster.manifest import Row
from latentfoley.data.folder import find_recordings, walk_place
from latentfoley.data.latents import LatentCache
from latentfoley.data.prepare import prepare
from latentfoley.data.scan import scan
from latentfoley.errors import InputError, RecipeError
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.metrics.score import Bootstrap
from latentfoley.evaluation.sets.choose import as_set
from latentfoley.evaluation.sets.clips import Clip, ClipSet
from latentfoley.files import cache_folder
from latentfoley.places import Place
from latents import WINDOW_S, encode
from signals import noise

SECRET = "a-secret-that-is-nowhere"
OPTIONS = {"workers": 1, "recordings_per_shard": 3, "held_out": 0.4}
SCORES = Settings(embedders=(), bootstrap=Bootstrap(resamples=20))


@pytest.fixture(scope="session")
def s3():
    """The name of a bucket on a server of this machine."""
    pytest.importorskip("s3fs", reason="s3:// needs s3fs")
    server_of = pytest.importorskip("moto.server", reason="the S3 server is moto's, with flask")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        Place.of("s3://sounds").files.mkdir("sounds")
        yield "s3://sounds"
    server.stop()


@pytest.fixture(scope="module", params=["memory", "s3"])
def store(request):
    """An empty remote place."""
    root = request.getfixturevalue("s3") if request.param == "s3" else "memory:/"
    place = Place.of(f"{root}/chain")
    yield place
    place.files.rm(place.root, recursive=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings at two depths, with a table, captions, a licence and a broken file."""
    folder = tmp_path_factory.mktemp("recordings")
    for k in range(6):
        sound(folder / f"{'sub/' * (k % 2)}{k}.wav", noise(0.3 + k / 10, seed=k))
    write(folder / "broken.wav", "hello")
    write(folder / "sub/3.txt", "rain\n")
    write(folder / "labels.csv", "path,label\nsub/1.wav,dog\n2.wav,cat\n")
    write(folder / "LICENSE", "CC0-1.0")
    write(folder / ".hidden/h.wav", "hello")
    return folder


@pytest.fixture(scope="module")
def local(folder, micro_model_folder, tmp_path_factory):
    """The same, prepared and encoded on this machine."""
    out = tmp_path_factory.mktemp("local")
    prepare(folder, out / "prepared", **OPTIONS)
    encode_on(out, micro_model_folder)
    return out


def encode_on(root, model):
    """Encode what was prepared under a root, a folder or the name of a place."""
    shards, out = (f"{root}/{name}" for name in ("prepared", "latents"))
    return encode(shards, out, model=str(model), duration_s=WINDOW_S, device="cpu")


def send(folder, place):
    """Copy a folder to a place."""
    for path in folder.rglob("*"):
        if path.is_file():
            place.write(path.relative_to(folder).as_posix(), path.read_bytes())


def hashes(place):
    """Return the SHA-256 of every shard and file of latents."""
    return {
        name: place.hash(name) for name in place.names() if name.endswith((".tar", ".safetensors"))
    }


@pytest.fixture(scope="module")
def remote(folder, store, micro_model_folder):
    """The same, prepared and encoded with every place remote; whoever damages it mends it."""
    send(folder, Place.of(f"{store}/recordings"))
    prepare(f"{store}/recordings", f"{store}/prepared", **OPTIONS)
    encode_on(store, micro_model_folder)
    return store


def test_shards_and_latents_are_those_of_a_local_run(remote, local, folder):
    for part in ("prepared", "latents"):
        here, there = Place.of(local / part), Place.of(f"{remote}/{part}")
        assert len(hashes(here)) >= 3
        assert hashes(there) == hashes(here)
    for name in ("manifest.jsonl", "skipped.jsonl"):
        here = (local / "prepared" / name).read_text()
        there = Place.of(f"{remote}/prepared").read(name).decode()
        assert there == here.replace(str(folder), f"{remote}/recordings")


def test_the_same_commands_make_only_what_is_gone(remote, micro_model_folder):
    prepared, latents = Place.of(f"{remote}/prepared"), Place.of(f"{remote}/latents")
    before = hashes(prepared) | hashes(latents)
    names = [name for name in before if not name.startswith(("shard-000001", "latents-000001"))]
    prepared.remove("shard-000001.tar")
    latents.remove("latents-000001-000.safetensors")

    def states():
        return {name: (prepared.state(name), latents.state(name)) for name in names}

    kept = states()
    prepare(f"{remote}/recordings", str(prepared), **OPTIONS)
    encode_on(remote, micro_model_folder)
    assert states() == kept
    assert hashes(prepared) | hashes(latents) == before


def test_latents_are_read_through_copies(remote, local):
    here, there = LatentCache(local / "latents"), LatentCache(f"{remote}/latents")
    assert len(there) == len(here)
    for name, field in there.batch(range(len(there)), ("mean", "std", "E")).items():
        assert torch.equal(field, here.batch(range(len(here)), (name,))[name])
    assert [there.captions(k) for k in range(len(there))] == [
        here.captions(k) for k in range(len(here))
    ]


def test_a_damaged_object_is_refused(remote, micro_model_folder):
    shutil.rmtree(cache_folder("latents"), ignore_errors=True)  # else a good copy is used
    says = r"/latents-000001-000\.safetensors is damaged .*data encode` again"
    with damaged(remote, "latents/latents-000001-000.safetensors", says):
        LatentCache(f"{remote}/latents")
    says = rf"'{remote}/prepared/shard-000001\.tar' is damaged: .*data prepare` again"
    with damaged(remote, "prepared/shard-000001.tar", says):
        encode_on(remote, micro_model_folder)


@contextmanager
def damaged(place, name, says):
    """Put other bytes in a file for a block that is refused for it."""
    before = place.read(name)
    place.write(name, b"other")
    with pytest.raises(RecipeError, match=says):
        yield
    place.write(name, before)


def test_settings_name_the_remote_place_and_no_secret(remote):
    for name, part in (("prepared/dataset.json", "recordings"), ("latents/cache.json", "prepared")):
        assert f'"{remote}/{part}"' in remote.read(name).decode()
    assert not any(SECRET.encode() in remote.read(name) for name in walk_place(remote))


def test_a_scan_finds_what_a_local_one_finds(remote, folder):
    here = scan(folder, workers=1).model_dump()
    there = scan(f"{remote}/recordings", workers=1).model_dump()
    assert there.pop("folder") == f"{remote}/recordings"
    assert here.pop("folder") == str(folder)
    assert [path for path, _ in there.pop("broken")] == [path for path, _ in here.pop("broken")]
    assert there == here


@pytest.mark.parametrize("loose", [False, True])
def test_what_a_batch_wrote_there_is_a_set(remote, micro_model, tmp_path, loose):
    """Against the prepared set, and against the same sounds on this machine."""
    pytest.importorskip("pyarrow")
    asked = {"steps": 1, "duration_s": 0.3}
    rows = tuple(Row(k, f"row-{k}", {"prompt": f"rain {k}", **asked}) for k in range(3))
    settings = BatchSettings(loading={}, loose=loose, rows_per_shard=3)
    sounds = f"{remote}/{'loose' if loose else 'sounds'}"
    for out in (sounds, str(tmp_path / "sounds")):
        make_chunk(micro_model, Chunk(0, rows), tmp_path, out, settings)
        Place.of(out).write("batch.json", settings.model_dump_json().encode())
    there = as_set(sounds)
    assert {clip.caption for clip in there.clips} == {"rain 0", "rain 1", "rain 2"}
    against = f"{remote}/prepared"
    scores = [evaluate(out, against, SCORES).to_record() for out in (sounds, tmp_path / "sounds")]
    assert scores[0]["n_reference"] >= 2
    assert scores[0]["sections"] == scores[1]["sections"]


def test_recordings_there_are_a_set_of_which_one_is_here_at_a_time(remote, folder, monkeypatch):
    recordings = Place.of(f"{remote}/whole")
    send(folder, recordings)
    recordings.remove("broken.wav")
    here = tuple(clip for clip in list_local(folder) if clip.key != "broken")
    copies = []
    monkeypatch.setattr(
        Place, "fetch", lambda place, name, copy, fetch=Place.fetch: (
            copies.append(copy),
            fetch(place, name, copy),
        )[1],
    )  # fmt: skip
    there = as_set(recordings)
    assert [clip.key for clip in there.clips] == [clip.key for clip in here]
    one = evaluate(there, ClipSet(folder, here), SCORES).to_record()
    other = evaluate(ClipSet(folder, here), ClipSet(folder, here), SCORES).to_record()
    assert one["sections"] == other["sections"]
    assert copies
    assert not any(copy.exists() for copy in copies)


def list_local(folder):
    """Return the clips of a folder of this machine, without reading them."""
    paths = [folder / found.path for found in find_recordings(folder)]
    named = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in paths]
    return sorted((Clip(key, path, "") for key, path in named), key=lambda clip: clip.key)


class TestWhatCannotBe:
    """Each is one sentence."""

    def test_no_such_place(self, store, tmp_path):
        with pytest.raises(InputError, match=rf"there is no folder '{store}/none', or nothing"):
            prepare(f"{store}/none", tmp_path / "out")
        with pytest.raises(RecipeError, match=rf"'{store}/none' holds no dataset.json"):
            encode(f"{store}/none", tmp_path / "out")
        with pytest.raises(RecipeError, match=rf"'{store}/none' holds no cache.json"):
            LatentCache(f"{store}/none")
        with pytest.raises(InputError, match=rf"'?{store}/none'?"):
            evaluate(f"{store}/none", f"{store}/none", SCORES)

    def test_no_such_bucket(self, s3, folder):
        with pytest.raises(InputError, match=r"'s3://no-such-bucket/x' cannot be .*bucket"):
            prepare(folder, "s3://no-such-bucket/x", **OPTIONS)

    def test_a_place_that_nobody_answers_for(self, folder, monkeypatch):
        """The data set is not finished without the recordings that could not be reached."""
        place = Place.of("memory://closed/recordings")
        send(folder, place)

        def refuse(*args, **kwargs):
            raise RuntimeError("the network is gone")

        monkeypatch.setattr(place.files, "get_file", refuse)
        with pytest.raises(InputError, match=r"'memory://.*/0\.wav' cannot be read: Runtime.*gone"):
            prepare(str(place), "memory://closed/prepared", **OPTIONS)
        assert Place.of("memory://closed/prepared").names() == ["dataset.json"]

    @pytest.mark.parametrize("kind", [FileNotFoundError, PermissionError])
    def test_a_recording_that_is_gone_or_closed_is_left_out(self, folder, monkeypatch, kind):
        place = Place.of(f"memory://{kind.__name__}/recordings")
        send(folder, place)
        fetch = place.files.get_file

        def refuse_one(name, *args, **kwargs):
            if name.endswith("/0.wav"):
                raise kind(2, "not for you")
            fetch(name, *args, **kwargs)

        monkeypatch.setattr(place.files, "get_file", refuse_one)
        out = Place.of(f"memory://{kind.__name__}/prepared")
        assert prepare(place, out, **OPTIONS).n_skipped == 2
        assert b"0.wav' cannot be read: not for you" in out.read("skipped.jsonl")
