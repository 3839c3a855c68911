"""A place → its set, whatever it is; and a part of a set that has something of every kind."""

from dataclasses import replace

from latentfoley.evaluation.sets.batches import is_batch, read_batch
from latentfoley.evaluation.sets.clips import ClipSet, in_turn, list_clips, require_limit
from latentfoley.evaluation.sets.prepared import prepared_place, read_prepared
from latentfoley.places import Place, Where


def as_set(clips: Where | ClipSet, limit: int | None = None) -> ClipSet:
    """Return a set, listed where it is a place, and cut to a limit.

    Args:
        clips: a set, or what `list_clips`, `read_prepared` and `read_batch` take.
        limit: so many, drawn evenly over their kinds; None keeps all.

    Raises:
        InputError, RecipeError, AudioFileError: as those.
    """
    if not isinstance(clips, ClipSet):
        clips = _read(Place.of(clips))
    if limit is None:
        return clips
    require_limit(limit)
    drawn = sorted(in_turn(clips.clips, lambda clip: clip.kind)[:limit], key=lambda clip: clip.key)
    return replace(clips, clips=tuple(drawn))


def _read(place: Place) -> ClipSet:
    if data_set := prepared_place(place):
        return read_prepared(data_set)
    if is_batch(place):
        return read_batch(place)
    return ClipSet(place.folder or place, tuple(list_clips(place)))


def limit_as(clips: ClipSet, other: ClipSet, limit: int | None) -> ClipSet:
    """Return a set cut to a limit: the pairs of the other's clips where it has them all."""
    pairs_of_other = {clip.key for clip in other.clips}
    paired = tuple(clip for clip in clips.clips if clip.key in pairs_of_other)
    if limit is not None and len(paired) == len(other.clips):
        return replace(clips, clips=paired)
    return as_set(clips, limit)
