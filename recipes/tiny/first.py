"""Write the manifest of ESC-10 and Sonic Pi: `python recipes/tiny/first.py DATA OUT.jsonl`.

The CLAP of the embedded model begins with them, with the captions of `captions.toml`; the
experiments and the measurements of editing have their recordings from it.

DATA holds `esc10/` and `sonicpi/`, each with its `metadata.csv`. Of every ESC-10 class, sources of
fold 4 are kept out of training until at least four clips are; of Sonic Pi, every tenth sample is.
No clip kept out shares its source recording with one that is trained on.
"""

import csv
import sys
import tomllib
from pathlib import Path

from latentfoley.data.metadata import Entry, write_manifest

HELD_OUT_PER_CLASS = 4
Row = dict[str, str]


def esc10_entries(data: Path, captions: dict[str, list[str]]) -> list[Entry]:
    rows = read_rows(data / "esc10")
    held_out = {address for label in captions for address in held_out_sources(rows, label)}
    return [
        Entry(
            path=f"esc10/{row['path']}",
            split="valid" if row["source_url"] in held_out else "train",
            captions=tuple(captions[row["class"]]),
            labels=(row["class"],),
            title=row["source_title"],
            author=row["source_author"],
            source_url=row["source_url"],
            licence=row["licence"],
        )
        for row in rows
    ]


def held_out_sources(rows: list[Row], label: str) -> set[str]:
    """Return addresses of fold-4 sources of a class that together give enough clips."""
    sources: set[str] = set()
    count = 0
    for row in rows:
        if row["class"] == label and row["fold"] == "4":
            if row["source_url"] not in sources and count >= HELD_OUT_PER_CLASS:
                break
            sources.add(row["source_url"])
            count += 1
    return sources


def sonicpi_entries(data: Path, captions: dict[str, list[str]]) -> list[Entry]:
    entries = []
    for index, row in enumerate(read_rows(data / "sonicpi")):
        family, _, rest = row["name"].partition("_")
        word = rest.replace("_", " ").strip("0123456789 ")
        phrases = [f"{phrase}, {word}" if word else phrase for phrase in captions[family]]
        entries.append(
            Entry(
                path=f"sonicpi/{row['path']}",
                split="valid" if index % 10 == 9 else "train",
                captions=(*captions[family], *phrases),
                labels=(family,),
                title=row["name"],
                source_url=row["source_url"],
                licence=row["licence"],
            )
        )
    return entries


def read_rows(folder: Path) -> list[Row]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(data: Path, out: Path) -> None:
    captions = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    entries = esc10_entries(data, captions["esc10"]) + sonicpi_entries(data, captions["sonicpi"])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(out, entries)
    kept_out = sum(entry.split == "valid" for entry in entries)
    print(f"{out}: {len(entries)} recordings, {kept_out} of them kept out of training")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
