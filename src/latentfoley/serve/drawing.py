"""Pictures of sounds, drawn in a process of their own when first asked for, and then kept.

Drawing takes a second of computing, during which the server could not answer anybody.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentfoley.serve.problems import Problem

_LIMIT_S = 60.0
_at_once = asyncio.Semaphore(1)


async def draw(sound: Path, mel: Mapping[str, Any] | None) -> Path:
    """Return the picture beside a sound.

    Args:
        sound: a WAV of ours.
        mel: front end of the model; None before it is loaded.

    Raises:
        Problem: it cannot be drawn now.
    """
    picture = sound.with_suffix(".png")
    if picture.exists():
        return picture
    if mel is None:
        raise Problem(503, "the model is still being loaded; try again soon", retry_after="2")
    async with _at_once:
        if not picture.exists():
            await _draw(sound, mel)
    if not picture.exists():
        raise Problem(503, "the picture could not be drawn; try again later", retry_after="10")
    return picture


async def _draw(sound: Path, mel: Mapping[str, Any]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latentfoley.serve.drawing", str(sound), json.dumps(dict(mel))),
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise


def main() -> None:
    """Draw one sound."""
    from latentfoley.audio import read_audio
    from latentfoley.clip import Clip
    from latentfoley.config import MelConfig
    from latentfoley.provenance import read_provenance

    path = Path(sys.argv[1])
    record = read_provenance(path)
    assert record is not None
    waveform = read_audio(path, sample_rate=None).waveform
    mel = MelConfig.model_validate_json(sys.argv[2])
    Clip(waveform, mel, record).plot(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
