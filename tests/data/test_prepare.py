"""A folder → a data set: the same whatever the processes, and whatever happens to them."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from folders import LAYOUTS, sound, write
from latentfoley.data.prepare import prepare
from latentfoley.data.shards import read_dataset, read_shard
from latentfoley.errors import InputError, RecipeError
from signals import noise

N_RECORDINGS, PER_SHARD = 24, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of recordings, with one that is broken and two that are the same."""
    folder = tmp_path_factory.mktemp("recordings")
    for k in range(N_RECORDINGS - 1):
        sound(folder / f"{k:02d}.wav", noise(0.3, seed=max(k, 1)))
    write(folder / "broken.wav", "hello")
    write(folder / "03.txt", "rain\n")
    write(folder / "LICENSE", "CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory):
    """The same, prepared without interruption."""
    out = tmp_path_factory.mktemp("unbroken")
    prepare(folder, out, workers=1, recordings_per_shard=PER_SHARD)
    return out


def contents(out):
    """Return every file under a folder, with its bytes."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def lines(path):
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_in_it(unbroken):
    dataset = read_dataset(unbroken)
    assert (dataset.n_shards, dataset.n_clips, dataset.n_skipped) == (6, N_RECORDINGS - 1, 1)
    assert (dataset.n_duplicates, dataset.n_captioned) == (1, 1)
    assert dataset.licences == {"CC0-1.0": N_RECORDINGS - 1}
    assert dataset.total_s == pytest.approx(0.3 * (N_RECORDINGS - 1))


def test_the_manifest_lists_what_the_shards_hold(unbroken):
    listed = lines(unbroken / "manifest.jsonl")
    shards = sorted(unbroken.glob("*.tar"))
    held = [clip for shard in shards for clip, _ in read_shard(shard)]
    assert [record["key"] for record in listed] == [clip.key for clip in held]
    assert [record["shard"] for record in listed] == [clip.shard for clip in held]
    assert sum(record["split"] == "valid" for record in listed) == read_dataset(unbroken).n_held_out


def test_what_was_left_out_is_listed(unbroken):
    (skipped,) = lines(unbroken / "skipped.jsonl")
    assert skipped["path"] == "broken.wav"
    assert "is not a recording" in skipped["reason"]


def test_one_place_has_many_names(folder, unbroken, monkeypatch):
    monkeypatch.chdir(folder.parent)
    before = {path: path.stat().st_mtime_ns for path in unbroken.glob("*.tar")}
    for name in (Path(folder.name), Path("..") / folder.parent.name / folder.name, folder):
        prepare(name, unbroken, workers=1, recordings_per_shard=PER_SHARD)
    assert {path: path.stat().st_mtime_ns for path in unbroken.glob("*.tar")} == before


def test_it_does_not_depend_on_the_processes(folder, unbroken, tmp_path):
    seen = []
    prepare(
        folder,
        tmp_path,
        workers=3,
        recordings_per_shard=PER_SHARD,
        progress=lambda *n: seen.append(n),
    )
    assert contents(tmp_path) == contents(unbroken)
    assert seen == [(n, N_RECORDINGS) for n in range(PER_SHARD, N_RECORDINGS + 1, PER_SHARD)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path, layout):
    expected = LAYOUTS[layout](tmp_path / "in")
    prepare(tmp_path / "in", tmp_path / "out", workers=1)
    clips = [clip for clip, _ in read_shard(tmp_path / "out" / "shard-000000.tar")]
    assert {clip.path for clip in clips} == set(expected)
    for clip in clips:
        for name in ("captions", "labels", "licence"):
            assert getattr(clip, name) == expected[clip.path].get(name, getattr(clip, name))


def test_a_row_that_cannot_be_read_is_listed_too(tmp_path):
    sound(tmp_path / "in/a.wav")
    write(tmp_path / "in/t.jsonl", "{")
    assert prepare(tmp_path / "in", tmp_path / "out", workers=1).n_skipped == 1
    assert lines(tmp_path / "out" / "skipped.jsonl")[0]["path"] == "t.jsonl:1"


class TestOwnTables:
    """What our commands write into the folder of recordings is no table of these recordings."""

    def test_a_data_set_in_its_own_folder(self, tmp_path, monkeypatch):
        sound(tmp_path / "a.wav")
        write(tmp_path / "b.wav", "broken: it is listed in skipped.jsonl")
        monkeypatch.chdir(tmp_path)
        first = prepare(Path(), Path("prepared"), workers=1)
        write(tmp_path / "run/run.json", "{}")
        write(tmp_path / "run/log.jsonl", '{"step": 1}\n')
        before = contents(tmp_path / "prepared")
        assert prepare(Path(), Path("prepared"), workers=1) == first
        assert contents(tmp_path / "prepared") == before

    def test_a_table_of_the_same_name_is_read(self, tmp_path):
        sound(tmp_path / "in/a.wav")
        write(tmp_path / "in/manifest.jsonl", '{"path": "a.wav", "caption": "rain"}\n')
        assert prepare(tmp_path / "in", tmp_path / "out", workers=1).n_captioned == 1


class TestGoingOn:
    @pytest.mark.slow
    @pytest.mark.parametrize("n_done", [0, 1, 4])
    @pytest.mark.parametrize("workers", [1, 2])
    def test_after_a_kill_at_any_moment(self, folder, unbroken, tmp_path, n_done, workers):
        out = tmp_path / "out"
        kill_when(out, n_done, folder, workers)
        assert not (out / "manifest.jsonl").exists()
        done = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
        prepare(folder, out, workers=1, recordings_per_shard=PER_SHARD)
        assert contents(out) == contents(unbroken)
        kept = sum(path.stat().st_mtime_ns == before for path, before in done.items())
        assert kept >= n_done

    def test_with_recordings_that_are_new_changed_or_gone(self, tmp_path):
        folder, out = tmp_path / "in", tmp_path / "out"
        for k in range(5):
            sound(folder / f"{k}.wav", noise(0.2, seed=k))
        prepare(folder, out, workers=1, recordings_per_shard=2)
        first = (out / "shard-000000.tar").stat().st_mtime_ns
        sound(folder / "3.wav", noise(0.4, seed=9))
        (folder / "4.wav").unlink()
        assert prepare(folder, out, workers=1, recordings_per_shard=2).n_shards == 2
        assert (out / "shard-000000.tar").stat().st_mtime_ns == first
        prepare(folder, tmp_path / "fresh", workers=1, recordings_per_shard=2)
        assert contents(out) == contents(tmp_path / "fresh")

    def test_a_shard_that_was_damaged_or_lost_is_made_again(self, folder, unbroken, tmp_path):
        prepare(folder, tmp_path, workers=1, recordings_per_shard=PER_SHARD)
        (tmp_path / "shard-000001.tar").write_bytes(b"")
        (tmp_path / "shard-000002.tar").unlink()
        (tmp_path / "records" / "shard-000003.json").write_text("{")
        prepare(folder, tmp_path, workers=1, recordings_per_shard=PER_SHARD)
        assert contents(tmp_path) == contents(unbroken)

    def test_captions_that_came_later(self, tmp_path):
        sound(tmp_path / "in/a.wav")
        assert prepare(tmp_path / "in", tmp_path / "out", workers=1).n_captioned == 0
        write(tmp_path / "in/a.txt", "rain")
        assert prepare(tmp_path / "in", tmp_path / "out", workers=1).n_captioned == 1


def kill_when(out, n_done, folder, workers):
    """Start `data prepare` and kill it with SIGKILL as soon as `n_done` shards are done."""
    words = ["data", "prepare", folder, out, "--per-shard", PER_SHARD, "--workers", workers]
    slowly = (
        "import time, latentfoley.audio as a, latentfoley.data.pack as p\n"
        "cut = p._pieces\n"
        "p._pieces = lambda *w: (time.sleep(0.02), cut(*w))[1]\n"
    )
    program = slowly * (workers == 1) + "from latentfoley.cli import main\nmain()\n"
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, words)])
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        marked = (out / "dataset.json").exists()
        if marked and len(list(out.glob("records/shard-*.json"))) >= n_done:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.3 * (workers > 1))  # its workers end by themselves


class TestPlaces:
    @pytest.fixture
    def prepared(self, tmp_path):
        """Return a function that prepares one recording in `tmp_path/out`."""
        sound(tmp_path / "in/a.wav")
        return lambda out="out", **settings: prepare(
            tmp_path / "in", tmp_path / out, workers=1, **settings
        )

    def test_one_that_holds_something_else(self, prepared, tmp_path):
        for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
            write(tmp_path / "out" / name, "mine")
        with pytest.raises(InputError, match=r"something else: a.txt, b.txt, c.txt …; give a new"):
            prepared()
        assert len(list((tmp_path / "out").iterdir())) == 4

    def test_a_relative_one_is_the_same_from_elsewhere_and_after_a_move(
        self, tmp_path, monkeypatch
    ):
        sound(tmp_path / "set/in/a.wav")
        monkeypatch.chdir(tmp_path / "set")
        first = prepare(Path("in"), Path("out"), workers=1)
        monkeypatch.chdir(tmp_path)
        assert prepare(Path("set/in"), Path("set/out"), workers=1) == first
        (tmp_path / "set").rename(tmp_path / "moved")
        assert prepare(Path("moved/in"), Path("moved/out"), workers=1) == first
        assert Path(first.settings.folder) == Path("../in")

    def test_one_with_other_settings(self, prepared):
        prepared()
        with pytest.raises(InputError, match="sample_rate was 16000, now 8000; piece_s was 60"):
            prepared(sample_rate=8000, piece_s=5.0)

    @pytest.mark.parametrize("out", ["file", "file/below"])
    def test_a_file(self, prepared, tmp_path, out):
        write(tmp_path / "file", "")
        with pytest.raises(InputError, match="is a file, or in one"):
            prepared(out)

    def test_a_marker_that_is_damaged(self, prepared, tmp_path):
        write(tmp_path / "out/dataset.json", "{")
        with pytest.raises(InputError, match="is damaged"):
            prepared()

    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
    def test_a_disk_that_refuses(self, prepared, monkeypatch, tmp_path, error):
        prepared("whole")
        fsync = os.fsync
        with monkeypatch.context() as patch:
            calls = []

            def refuse(file):
                calls.append(file)
                if len(calls) > 1:
                    raise OSError(error, os.strerror(error))
                return fsync(file)

            patch.setattr(os, "fsync", refuse)
            with pytest.raises(InputError, match=f"{os.strerror(error)}.* same command resumes"):
                prepared()
        assert sorted(contents(tmp_path / "out")) == ["dataset.json"]
        prepared()
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")

    def test_not_one_that_can_be_used(self, prepared, tmp_path):
        write(tmp_path / "in/a.wav", "hello")
        with pytest.raises(RecipeError, match=r"not one recording can be used; .*skipped.jsonl"):
            prepared()
        with pytest.raises(RecipeError, match="is not finished"):
            read_dataset(tmp_path / "out")

    @pytest.mark.parametrize(
        ("setting", "says"),
        [
            ({"sample_rate": 10}, "data prepare: sample_rate: .*1000, got 10"),
            ({"piece_s": 0}, "data prepare: piece_s: "),
            ({"held_out": 1}, "data prepare: held_out: "),
            ({"recordings_per_shard": 0}, "data prepare: recordings_per_shard: "),
            ({"rate": 16_000}, "unknown key 'rate'; .* Did you mean 'sample_rate'"),
        ],
    )
    def test_settings_out_of_range(self, prepared, tmp_path, setting, says):
        with pytest.raises(RecipeError, match=says):
            prepared(**setting)
        assert not (tmp_path / "out").exists()
