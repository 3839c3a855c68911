"""Some recordings → one shard: cut, mixed down, resampled, named; what cannot be used is listed.

`pack` is a function of its task alone and runs in a process of its own. Its last act is to write a
record of what the shard was made of: where that stands and still holds, there is nothing to do. So
the same command resumes a run that was killed at any moment.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from latentfoley.audio import mix_down, require_sound, resample
from latentfoley.data.folder import Found
from latentfoley.data.measure import read_blocks
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import SkippedFile
from latentfoley.data.shard_files import Record, is_written, read_record, record_name
from latentfoley.data.shards import Encoded, PreparedClip, Settings, shard_name, write_shard
from latentfoley.encoding import encode_audio, safe_gain
from latentfoley.errors import AudioFileError, InputError
from latentfoley.places import Place, is_of_file

_SLUG_CHARACTERS = 40

Samples = Float32[np.ndarray, "N"]


class Task(NamedTuple):
    """What a shard is made of: recordings, the first one's number, and what is known of each."""

    out: str
    shard: int
    first: int
    recordings: tuple[tuple[Found, Metadata], ...]
    settings: Settings

    @property
    def folder(self) -> Place:
        """Where the recordings are."""
        return Place.of(self.out).inside(self.settings.folder)


def pack(task: Task) -> int:
    """Write a shard and its record, unless they are there; return how many recordings it is of.

    Raises:
        InputError: a disk or a store refuses.
    """
    out, inputs, shard = Place.of(task.out), _hash_inputs(task), shard_name(task.shard)
    try:
        record = read_record(out, task.shard)
        if record is None or record.inputs != inputs or not is_written(record, out, shard):
            skipped: list[SkippedFile] = []
            clips, n_bytes, sha256 = write_shard(out, shard, _clips(task, skipped))
            record = Record(
                inputs=inputs,
                n_bytes=n_bytes,
                sha256=sha256,
                clips=tuple(clips),
                skipped=tuple(skipped),
            )
            text = record.model_dump_json(exclude_defaults=True)
            out.write(record_name(task.shard), text.encode())
    except OSError as error:
        raise cannot_write(out, error) from None
    return len(task.recordings)


def cannot_write(out: Place, error: OSError) -> InputError:
    """Return the error for a disk or a store that refuses."""
    return InputError(
        f"'{out}' cannot be written to: {error.strerror or error}. "
        f"What is there is whole; once there is room, the same command resumes"
    )


def _hash_inputs(task: Task) -> str:
    folder = task.folder
    recordings = [
        (found.path, *folder.state(found.path), metadata.model_dump())
        for found, metadata in task.recordings
    ]
    settings = task.settings.model_dump(exclude={"folder"})
    text = json.dumps([task.first, settings, recordings])
    return sha256(text.encode()).hexdigest()


def _clips(task: Task, skipped: list[SkippedFile]) -> Iterator[Encoded]:
    """Yield the clips of a task's recordings; put what cannot be used into `skipped`."""
    folder = task.folder
    for number, (found, metadata) in enumerate(task.recordings, start=task.first):
        if found.fault:
            skipped.append(SkippedFile(found.path, found.fault))
            continue
        try:
            with folder.local(found.path) as file:
                yield from _clips_of(task, number, (found.path, file), metadata, skipped)
        except AudioFileError as error:
            skipped.append(SkippedFile(found.path, str(error)))
        except InputError as error:
            if not is_of_file(error):
                raise
            skipped.append(SkippedFile(found.path, str(error)))


def _clips_of(
    task: Task,
    number: int,
    recording: tuple[str, Path],
    metadata: Metadata,
    skipped: list[SkippedFile],
) -> Iterator[Encoded]:
    """Yield the clips of a recording, given its name in the folder and a file with its bytes."""
    path, file = recording
    split = metadata.split
    for part, piece in enumerate(_pieces(file, task.settings)):
        digest = blake2b(piece.waveform.tobytes(), digest_size=16).hexdigest()
        split = split or _draw_split(metadata.source_url or digest, task.settings.held_out)
        try:
            require_sound(piece.waveform, f"'{path}' from {piece.start_s:g} s on")
        except InputError as error:
            skipped.append(SkippedFile(path, str(error)))
            continue
        clip = PreparedClip(
            **metadata.model_dump(exclude={"split"}),
            path=path,
            split=split,
            key=clip_key(number, path, part),
            shard=shard_name(task.shard),
            start_s=piece.start_s,
            duration_s=len(piece.waveform) / task.settings.sample_rate,
            original_sample_rate=piece.sample_rate,
            original_channels=piece.channels,
            gain=safe_gain(piece.waveform),
            digest=digest,
        )
        rate = task.settings.sample_rate
        yield Encoded(clip, encode_audio(piece.waveform, rate, suffix=".flac", provenance=None))


def _draw_split(group: str, held_out: float) -> Literal["train", "valid"]:
    """Return the split of what belongs together: pieces, copies, clips of one source.

    It depends on what the recording is and not on its place, so that more recordings in the folder
    leave the others where they were.
    """
    share = int.from_bytes(blake2b(group.encode(), digest_size=8).digest()) / 2**64
    return "valid" if share < held_out else "train"


def clip_key(number: int, path: str, part: int = 0) -> str:
    """Return a clip's name: unlike any other, plain ASCII, without dots (WebDataset cuts there)."""
    stem = Path(path).stem.lower()
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    slug = "-".join(words)[:_SLUG_CHARACTERS].strip("-")
    return "-".join(
        [f"{number:08d}", *([slug] if slug else []), *([f"p{part:03d}"] if part else [])]
    )


class _Piece(NamedTuple):
    """A part of a recording, mono at the wanted rate; rate and channels are the recording's."""

    start_s: float
    waveform: Samples
    sample_rate: int
    channels: int


def _pieces(path: Path, settings: Settings) -> Iterator[_Piece]:
    """Yield a recording in pieces; none is shorter than half of `piece_s` unless it is all.

    Raises:
        AudioFileError: when it comes to what cannot be decoded; the pieces before are sound.
    """
    start, n_waiting = 0, 0
    waiting: list[Samples] = []
    sample_rate = channels = 1
    for sample_rate, block in read_blocks(path):
        channels, n_piece = block.shape[1], round(settings.piece_s * sample_rate)
        waiting.append(mix_down(block))
        n_waiting += len(block)
        while n_waiting >= 1.5 * n_piece:
            whole = np.concatenate(waiting)
            piece = resample(whole[:n_piece], sample_rate, settings.sample_rate)
            yield _Piece(start / sample_rate, piece, sample_rate, channels)
            start, n_waiting, waiting = start + n_piece, n_waiting - n_piece, [whole[n_piece:]]
    piece = resample(np.concatenate(waiting), sample_rate, settings.sample_rate)
    yield _Piece(start / sample_rate, piece, sample_rate, channels)
