"""Write the reference of the experiments: ESC-10 recordings that `tiny` was not trained on.

    python recipes/experiments/reference.py runs/tiny/first.jsonl DATA OUT.jsonl

Takes the held-out split of what `recipes/tiny/first.py` writes, without the Sonic Pi samples.
"""

import os
import sys
from pathlib import Path

from latentfoley.data.metadata import read_manifest, write_manifest


def main() -> None:
    manifest, data, out = (Path(word) for word in sys.argv[1:])
    held_out = [
        entry.model_copy(update={"path": os.path.relpath(data / entry.path, out.parent)})
        for entry in read_manifest(manifest)
        if entry.split == "valid" and entry.path.startswith("esc10/")
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(out, held_out)


if __name__ == "__main__":
    main()
