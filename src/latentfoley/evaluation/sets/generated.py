"""A model and captions → a set of clips on disk, made once and found again.

Clips lie in a folder that is named after the model and a hash of everything that decides samples,
so that another model, setting or version never finds clips that are not its own. Each file carries
its provenance, which is compared before the file is used. Clip k of the captions is the clip that
`latentfoley generate` makes with the same settings and `--index k`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from latentfoley.errors import UserError
from latentfoley.evaluation.sets.clips import Clip, ClipSet, require_set
from latentfoley.evaluation.sets.prompts import Caption
from latentfoley.pipeline import Model
from latentfoley.provenance import read_provenance
from latentfoley.request import GenerationRequest

_AT_ONCE = 256  # prompts of a request: bounds what is embedded together

Job = tuple[int, Caption, Path]
Progress = Callable[[int, int], None]
"""Called as (clips made, clips to make)."""


def make_clips(
    model: Model,
    captions: Sequence[Caption],
    folder: Path,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ClipSet:
    """Generate a clip for every caption that has none yet, and return the set.

    Args:
        model: what generates.
        captions: in the order that numbers the clips.
        folder: where sets of clips are kept, each in a folder of its own.
        limit: only the clips that are first by name; they are the same with and without it.
        progress: called after every clip.
        options: of `GenerationRequest`, without prompts, n and index.

    Raises:
        InputError: an option or a prompt that is refused, or fewer than two captions.
        AudioFileError: a clip cannot be written.
    """
    request = GenerationRequest.build([caption.text for caption in captions], **options)
    settings = _settings(model, request)
    place = folder / f"{_slug(model.name)}-{_digest(settings)[:12]}"
    jobs = [(k, caption, place / f"{caption.key}.wav") for k, caption in enumerate(captions)]
    jobs = sorted(jobs, key=lambda job: job[1].key)[:limit]
    clips = tuple(Clip(caption.key, path, caption.text) for _, caption, path in jobs)
    require_set(place, clips)
    missing = sorted(job for job in jobs if not _is_made(model, request, job))
    for n_made, _ in enumerate(_make(model, missing, options), start=1):
        if progress is not None:
            progress(n_made, len(missing))
    about = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    return ClipSet(place, clips, about)


def _make(model: Model, missing: Sequence[Job], options: Mapping[str, Any]) -> Iterator[Path]:
    """Write the clips of jobs, those of neighbouring numbers in one request."""
    for _, group in groupby(enumerate(missing), key=lambda pair: pair[1][0] - pair[0]):
        run = [job for _, job in group]
        for start in range(0, len(run), _AT_ONCE):
            some = run[start : start + _AT_ONCE]
            prompts = [caption.text for _, caption, _ in some]
            request = GenerationRequest.build(prompts, index=some[0][0], **options)
            for clip, (_, _, path) in zip(model.run(request), some, strict=True):
                yield clip.save(path)


def _is_made(model: Model, request: GenerationRequest, job: Job) -> bool:
    """Return whether the file of a job is there and is what the job would make."""
    index, caption, path = job
    try:
        made = read_provenance(path) if path.is_file() else None
    except UserError:
        return False
    return made is not None and (
        (made.prompt, made.index, made.seed, made.model_hash, made.version)
        == (caption.text, index, request.seed, model.weights_hash, _version())
    )


def _settings(model: Model, request: GenerationRequest) -> dict[str, Any]:
    """Return everything that decides samples besides the prompts."""
    return {
        "model": model.name,
        "weights": model.weights_hash,
        "dtype": str(model.unet.conv_in.weight.dtype).removeprefix("torch."),
        "compat": model.compat,
        "version": _version(),
        **request.model_dump(exclude={"prompts", "audio_prompt", "n", "index", "candidate"}),
    }


def _digest(settings: Mapping[str, Any]) -> str:
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in Path(name).name).strip("-") or "model"


def _version() -> str:
    from latentfoley.version import (
        __version__,
    )  # late: the package exports what this file is part of

    return __version__
