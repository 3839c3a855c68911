"""A chunk is made once, whole, and only what is missing is made again."""

import io
from dataclasses import replace

import pytest

from latentfoley.cluster.chunk import BatchSettings, Chunk, Done, make_chunk, part_name
from latentfoley.cluster.manifest import Row
from latentfoley.data.shards import read_shard
from latentfoley.pipeline import Model
from latentfoley.places import Place

parquet = pytest.importorskip("pyarrow.parquet")

SETTINGS = {"steps": 1, "duration_s": 0.2}


def chunk(*ids, bad=()):
    rows = [Row(k, one, {"prompt": one, **SETTINGS}) for k, one in enumerate(ids)]
    rows += [Row(len(rows), one, {"prompt": one, "steps": 0}) for one in bad]
    return Chunk(0, tuple(rows))


@pytest.fixture(params=["memory", "local"])
def out(request, tmp_path):
    """A place that is empty, remote or not."""
    if request.param == "local":
        yield str(tmp_path / "out")
        return
    place = Place.of(f"memory://{tmp_path.name}")
    yield place.name
    place.files.store.clear()


@pytest.fixture(params=[False, True], ids=["shards", "loose"])
def make(request, micro_model, tmp_path, out):
    """Make a chunk in the place."""
    settings = BatchSettings(loading={}, loose=request.param, rows_per_shard=10)

    def make_it(some):
        return make_chunk(micro_model, some, tmp_path, out, settings)

    return make_it


def results(out):
    data = Place.of(out).read(part_name(0))
    return parquet.read_table(io.BytesIO(data)).to_pylist()


def test_every_row_has_a_result_in_order(make, out):
    assert make(chunk("rain", "wind", bad=["sea"])) == Done(3, 2, 1)
    there = results(out)
    assert [row["id"] for row in there] == ["rain", "wind", "sea"]
    assert [bool(row["reason"]) for row in there] == [False, False, True]
    assert all(Place.of(out).has(row["file"].partition(":")[0]) for row in there[:2])


def test_again_there_is_nothing_to_do(make, monkeypatch):
    make(chunk("rain", "wind"))
    monkeypatch.setattr(Model, "run", None)
    assert make(chunk("rain", "wind")) == Done(2, 0, 0)


def test_a_row_that_was_mended_is_made_and_the_others_are_kept(make, out):
    make(chunk("rain", "wind", bad=["sea"]))
    before = results(out)
    assert make(chunk("rain", "wind", "sea")) == Done(3, 1, 0)
    assert results(out)[:2] == before[:2]


def test_what_was_lost_is_made_again(make, out):
    make(chunk("rain", "wind"))
    place = Place.of(out)
    place.files.rm_file(f"{place.root}/{results(out)[0]['file'].partition(':')[0]}")
    assert make(chunk("rain", "wind")).n_made > 0
    assert make(chunk("rain", "wind")) == Done(2, 0, 0)


def test_results_that_are_damaged_are_made_again(make, out):
    make(chunk("rain"))
    before = results(out)
    Place.of(out).write(part_name(0), b"no parquet")
    make(chunk("rain"))
    assert results(out) == before


def test_a_recording_that_changed_is_edited_again(micro_model, recordings, tmp_path):
    source = tmp_path / "a.wav"
    row = Row(0, "a", {"edit": "vary", "source": "a.wav", "steps": 1})
    settings = BatchSettings(loading={}, loose=False, rows_per_shard=1)
    identities = []
    for name in ("noise", "chirp"):
        source.write_bytes((recordings.parent / f"{name}.wav").read_bytes())
        out = str(tmp_path / "out")
        assert make_chunk(micro_model, Chunk(0, (row,)), tmp_path, out, settings) == Done(1, 1, 0)
        identities.append(results(out)[0]["identity"])
    assert len(set(identities)) == 2


def test_loose_sounds_of_a_killed_chunk_are_found(micro_model, tmp_path):
    settings = BatchSettings(loading={}, loose=True, rows_per_shard=10)
    out = str(tmp_path / "out")
    make_chunk(micro_model, chunk("rain"), tmp_path, out, settings)
    (tmp_path / "out" / part_name(0)).unlink()  # the kill came before it
    assert make_chunk(micro_model, chunk("rain", "wind"), tmp_path, out, settings) == Done(2, 1, 0)


def test_a_shard_is_read_as_those_of_data(micro_model, tmp_path):
    settings = BatchSettings(loading={}, loose=False, rows_per_shard=10)
    make_chunk(micro_model, chunk("rain"), tmp_path, str(tmp_path), settings)
    ((clip, waveform),) = read_shard(tmp_path / "shard-000000.tar")
    (expected,) = micro_model.generate("rain", **SETTINGS)
    assert clip.captions == ("rain",)
    assert abs(waveform - expected.waveform).max() <= 2**-15


def test_another_model_makes_its_own(micro_model, tmp_path):
    settings = BatchSettings(loading={}, loose=True, rows_per_shard=10)
    out = str(tmp_path / "out")
    make_chunk(micro_model, chunk("rain"), tmp_path, out, settings)
    other = replace(micro_model, window_s=micro_model.window_s / 2)
    assert make_chunk(other, chunk("rain"), tmp_path, out, settings) == Done(1, 1, 0)
