"""The shards that `latentfoley batch` wrote → a set: all sounds, each with its prompt.

One shard after the other is copied, where the place is remote, and unpacked; see `unpack.py`. What
was written with `--loose` is a folder of files like any other, and says its prompts itself.
"""

from latentfoley.data.shards import BATCH, PreparedClip, find_shards, read_shard
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_set
from latentfoley.evaluation.sets.unpack import unpack
from latentfoley.places import Place


def is_batch(place: Place) -> bool:
    """Return whether `batch` has written shards to a place."""
    return place.has(BATCH) and bool(find_shards(place))


def read_batch(place: Place) -> ClipSet:
    """Return the sounds of all shards.

    Raises:
        RecipeError: a shard is damaged.
        InputError: fewer than two sounds, or the place refuses.
    """
    clips = []
    for name in find_shards(place):
        with place.local(name) as shard:
            records = [record for record, _ in read_shard(shard)]
            sha256 = Place.of(shard.parent).hash(shard.name)
            folder = unpack(shard, sha256, [f"{record.key}.flac" for record in records])
        clips += [Clip(one.key, folder / f"{one.key}.flac", _prompt(one)) for one in records]
    require_set(place, clips)
    return ClipSet(place, tuple(clips), {"batch": str(place)})


def _prompt(record: PreparedClip) -> str:
    return next(iter(record.captions), "")
