"""A cache of latents that is not what was written is refused, and made whole by its own command."""

import json
import shutil

import pytest

from folders import sound
from latentfoley.data.latents import LatentCache
from latentfoley.data.prepare import prepare
from latentfoley.errors import RecipeError
from latents import encode
from signals import noise

FILES = [f"latents-00000{k}-000.safetensors" for k in range(3)]


@pytest.fixture(scope="module")
def whole(micro_model_folder, tmp_path_factory):
    """Three shards, and their latents."""
    folder = tmp_path_factory.mktemp("whole")
    for k in range(6):
        sound(folder / f"in/{k}.wav", noise(0.4, seed=k))
    prepare(folder / "in", folder / "shards", workers=1, recordings_per_shard=2, held_out=0.0)
    encode_again(folder, micro_model_folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of both to do damage to; the settings name the copied shards."""
    for name in ("in", "shards", "latents"):
        shutil.copytree(whole / name, tmp_path / name)
    for path in (tmp_path / "latents/cache.json", tmp_path / "shards/dataset.json"):
        path.write_text(path.read_text().replace(str(whole), str(tmp_path)))
    return tmp_path


def encode_again(folder, model):
    """Run the command that made the latents."""
    options = {"model": str(model), "duration_s": 0.32, "device": "cpu"}
    return encode(folder / "shards", folder / "latents", **options)


def contents(folder):
    """Return every file in a folder of latents, with its bytes."""
    files = (path for path in (folder / "latents").rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def flip_a_bit(path):
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    """Leave two thirds of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


DAMAGE = {"a flipped bit": flip_a_bit, "cut": truncate, "gone": lambda path: path.unlink()}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
class TestLatents:
    def test_damage_is_refused_and_healed(self, copy, micro_model_folder, damage):
        before = contents(copy)
        damage(copy / "latents" / FILES[1])
        with pytest.raises(RecipeError, match=rf"{FILES[1]} is .*same `latentfoley data encode`"):
            LatentCache(copy / "latents")
        encode_again(copy, micro_model_folder)
        assert contents(copy) == before
        assert len(LatentCache(copy / "latents"))

    def test_what_is_whole_is_not_made_again(self, copy, micro_model_folder, damage):
        damage(copy / "latents" / FILES[1])
        before = {name: (copy / "latents" / name).stat().st_mtime_ns for name in FILES[::2]}
        encode_again(copy, micro_model_folder)
        after = {name: (copy / "latents" / name).stat().st_mtime_ns for name in FILES[::2]}
        assert after == before


@pytest.mark.parametrize("damage", [truncate, DAMAGE["gone"]])
def test_damage_to_a_cache_without_hashes(copy, micro_model_folder, damage):
    """Records were once without hashes: such caches are read, counted and healed."""
    forget_hashes(copy / "latents")
    assert len(LatentCache(copy / "latents")) == 12
    before = contents(copy)[FILES[1]]
    damage(copy / "latents" / FILES[1])
    with pytest.raises(RecipeError, match=rf"{FILES[1]} is .*same `latentfoley data encode`"):
        LatentCache(copy / "latents")
    encode_again(copy, micro_model_folder)
    assert contents(copy)[FILES[1]] == before


def test_windows_are_counted_without_records(copy):
    shutil.rmtree(copy / "latents/records")
    assert len(LatentCache(copy / "latents")) == 12
    (copy / "latents" / FILES[2]).unlink()
    with pytest.raises(RecipeError, match="was finished with 12 windows and holds 8; run the same"):
        LatentCache(copy / "latents")


def test_other_files_are_left_alone(copy, micro_model_folder):
    strays = [copy / "latents" / name for name in ("latents-000000-000 (1).safetensors", "._l")]
    for stray in strays:
        stray.write_bytes(b"mine")
    assert len(LatentCache(copy / "latents")) == 12
    encode_again(copy, micro_model_folder)
    assert all(stray.read_bytes() == b"mine" for stray in strays)


def forget_hashes(folder):
    """Make the records of a folder as they were before hashes were kept."""
    for path in (folder / "records").glob("*.json"):
        record = json.loads(path.read_text())
        del record["sha256"]
        path.write_text(json.dumps(record))


class TestShards:
    """Encoding from a data set that is not whole is refused, and costs no latents."""

    @pytest.mark.parametrize(
        ("damage", "hashes"),
        [(flip_a_bit, True), (truncate, True), (truncate, False), (DAMAGE["gone"], True)],
    )
    def test_they_are_refused_and_healed(self, copy, micro_model_folder, damage, hashes):
        if not hashes:
            forget_hashes(copy / "shards")
        before = contents(copy)
        damage(copy / "shards/shard-000001.tar")
        with pytest.raises(RecipeError, match=r"shard-000001.tar'? is .*data prepare` again"):
            encode_again(copy, micro_model_folder)
        after = contents(copy)
        assert {n: b for n, b in after.items() if n != "cache.json"} == {
            n: b for n, b in before.items() if n != "cache.json"
        }
        prepare(copy / "in", copy / "shards", workers=1, recordings_per_shard=2, held_out=0.0)
        encode_again(copy, micro_model_folder)
        assert contents(copy) == before

    def test_a_lost_one_leaves_the_latents_ready(self, copy, micro_model_folder):
        (copy / "shards/shard-000001.tar").unlink()
        with pytest.raises(RecipeError, match="finished with 3 shards and holds 2, shard-000001"):
            encode_again(copy, micro_model_folder)
        assert len(LatentCache(copy / "latents")) == 12

    def test_clips_are_counted_without_records(self, copy, micro_model_folder):
        shutil.rmtree(copy / "shards/records")
        about = copy / "shards/dataset.json"
        about.write_text(about.read_text().replace('"n_clips": 6', '"n_clips": 7'))
        before = contents(copy)
        with pytest.raises(RecipeError, match="finished with 7 clips and holds 6"):
            encode_again(copy, micro_model_folder)
        assert contents(copy).keys() == before.keys()
