"""Write the manifest of all recordings: `python recipes/tiny/recordings.py DATA OUT.jsonl`.

`kinds.toml` says which kind of sound a class of a folder is, and how people ask for it; what a clip
is called by its own title joins. Splits are by source recording over all folders: no clip kept out
shares its source with one trained on. Kept out are, of every class of ESC-10 and ESC-50, the
sources of the last fold until there are `HELD_OUT` clips; every tenth of the Sonic Pi samples; and
a tenth of every other class that comes from `LEAST_SOURCES` sources or more.
"""

import csv
import hashlib
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from latentfoley.data.metadata import Entry, write_manifest

PROMPTS = Path(__file__).parents[2] / "benchmarks" / "tiny"
HELD_OUT = {"esc10": 4, "esc50": 6}
LEAST_SOURCES = 3
SONICPI_EVERY = 10
Row = dict[str, str]


@dataclass(frozen=True)
class Sound:
    """One row of a `metadata.csv`, with what the folders call differently called alike."""

    folder: str
    label: str
    source: str
    row: Row

    @property
    def path(self) -> str:
        """Relative to the data folder."""
        return f"{self.folder}/{self.row['path']}"


def read_sounds(data: Path) -> list[Sound]:
    """Return every recording of every folder that has a `metadata.csv`."""
    sounds = []
    for table in sorted(data.glob("*/metadata.csv")):
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                label = row.get("class") or row["name"].partition("_")[0]
                sounds.append(Sound(table.parent.name, label, source_of(row), row))
    return sounds


def source_of(row: Row) -> str:
    """Return what clips cut from one recording share: its id at Freesound where that is known."""
    if row.get("source"):
        return row["source"]
    found = re.search(r"freesound\.org/people/[^/]+/sounds/(\d+)", row["source_url"])
    return f"freesound:{found[1]}" if found else row["source_url"] or row["path"]


def held_out_sources(sounds: list[Sound]) -> set[str]:
    """Return the sources of which no clip is trained on."""
    groups: dict[str, dict[str, list[Sound]]] = {"esc10": {}, "sonicpi": {}, "esc50": {}, "": {}}
    for sound in sounds:
        folder = sound.folder if sound.folder in groups else ""
        label = "" if folder == "sonicpi" else sound.label
        groups[folder].setdefault(label, []).append(sound)
    held_out: set[str] = set()
    trained: set[str] = set()
    # In this order a source that stands in two folders goes where the first of them puts it.
    for folder, labels in groups.items():
        for _, clips in sorted(labels.items()):
            held_out |= _drawn(folder, [s for s in clips if s.source not in trained])
        trained |= {s.source for clips in labels.values() for s in clips} - held_out
    return held_out


def _drawn(folder: str, clips: list[Sound]) -> set[str]:
    """Return the sources of one class that are kept out."""
    if folder in HELD_OUT:
        newest_first = sorted(clips, key=lambda s: -int(s.row["fold"]))
        return enough(newest_first, HELD_OUT[folder])
    if folder == "sonicpi":
        return {s.source for s in clips[SONICPI_EVERY - 1 :: SONICPI_EVERY]}
    if len({s.source for s in clips}) < LEAST_SOURCES:
        return set()
    ordered = sorted(clips, key=lambda s: hashlib.sha256(s.source.encode()).hexdigest())
    return enough(ordered, max(1, len(clips) // 10))


def enough(clips: list[Sound], count: int) -> set[str]:
    """Return the first sources that together have at least `count` clips."""
    sources: set[str] = set()
    for n, clip in enumerate(clips):
        if clip.source not in sources and n >= count:
            break
        sources.add(clip.source)
    return sources


@dataclass(frozen=True)
class Kinds:
    """The table of `kinds.toml`.

    Attributes:
        of_label: the kind of every class that stands in it; another is a kind of its own.
        captions: how people ask for a kind.
        also: rarer ways to ask for it.
        most: clips of one class that are taken, by folder.
    """

    of_label: dict[str, str]
    captions: dict[str, list[str]]
    also: dict[str, list[str]]
    most: dict[str, int]

    def kind(self, sound: Sound) -> str:
        """Return the kind of a recording; programs of General MIDI go without their number."""
        return self.of_label.get(sound.label, re.sub(r"^gm_\d+_", "", sound.label))

    def captions_of(self, sound: Sound) -> tuple[str, ...]:
        """Return the captions of a recording's kind and its own, each once."""
        general = self.captions.get(self.kind(sound), [])
        own = own_captions(sound, set(" ".join(general).lower().split()))
        if not general and not own:
            own = [sound.label.replace("_", " ")]
        return tuple(dict.fromkeys([*general, *self.also.get(self.kind(sound), []), *own]))


def read_kinds(path: Path) -> Kinds:
    """Read `kinds.toml`.

    Raises:
        ValueError: a class stands under two kinds.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    of_label: dict[str, str] = {}
    for kind, values in table["kinds"].items():
        for label in values["labels"]:
            if label in of_label:
                raise ValueError(f"{path}: '{label}' is both {of_label[label]} and {kind}")
            of_label[label] = kind
    captions = {kind: values["captions"] for kind, values in table["kinds"].items()}
    also = {kind: values.get("also", []) for kind, values in table["kinds"].items()}
    return Kinds(of_label, captions, also, table["most"])


def own_captions(sound: Sound, words: set[str]) -> list[str]:
    """Return what a clip is called by those who made it or put it together.

    The titles of ESC are the uploaders' file names: one counts only where it says a word of the
    kind's captions. The curated folders have sentences.
    """
    row = sound.row
    if sound.folder in HELD_OUT:
        title = clean_title(row["source_title"])
        known = {word for word in words if len(word) > 2}
        return [title] if known & set(title.split()) else []
    if sound.folder == "sonicpi":
        family, _, rest = row["name"].partition("_")
        return [f"{family} {clean_title(rest)}".strip()]
    titles = [row.get("title", ""), re.sub(r"\s*\([^)]*\)$", "", row.get("description", ""))]
    return list(dict.fromkeys(title for title in titles if title))


def clean_title(title: str) -> str:
    """Return a file's name as words: "Cough_02 (man).WAV" is "cough man"."""
    stem = re.sub(r"\.(wav|mp3|ogg|aiff?|flac|m4a|wma)\b.*$", "", title, flags=re.IGNORECASE)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    words = re.findall(r"[^\W\d_]{2,}", apart.lower())
    return " ".join(word for word in words if word not in _NO_CAPTION)


_NO_CAPTION = {"mono", "stereo", "edit", "sample", "samples", "sound", "take", "wav", "fx", "sfx"}


def selected(sounds: list[Sound], most: dict[str, int]) -> list[Sound]:
    """Return the recordings to use: of each class at most so many, chosen by their names' hash."""
    classes: dict[tuple[str, str], list[Sound]] = {}
    for sound in sounds:
        classes.setdefault((sound.folder, sound.label), []).append(sound)
    return [
        sound
        for (folder, _), clips in classes.items()
        for sound in sorted(clips, key=lambda s: hashlib.sha256(s.path.encode()).hexdigest())[
            : most.get(folder)
        ]
    ]


def entries(data: Path, kinds: Kinds) -> list[Entry]:
    """Return the manifest's entries.

    Raises:
        ValueError: a caption is a prompt that measures the model.
    """
    sounds = read_sounds(data)
    held_out = held_out_sources(sounds)
    made = [
        Entry(
            path=sound.path,
            split="valid" if sound.source in held_out else "train",
            captions=kinds.captions_of(sound),
            labels=(kinds.kind(sound),),
            title=sound.row.get("source_title") or sound.row.get("name", ""),
            author=sound.row.get("source_author", ""),
            source_url=sound.row["source_url"],
            licence=sound.row["licence"],
        )
        for sound in selected(sounds, kinds.most)
    ]
    require_apart(made)
    return made


def require_apart(made: list[Entry]) -> None:
    """Check that no caption is a prompt that measures the model."""
    captions = {caption.lower() for entry in made for caption in entry.captions}
    if common := captions & {prompt.lower() for prompt in measuring_prompts()}:
        raise ValueError(f"captions that are prompts of a benchmark: {sorted(common)}")


def measuring_prompts() -> set[str]:
    """Return the prompts of every `benchmarks/tiny/prompts*.toml`."""
    prompts: set[str] = set()
    for path in PROMPTS.glob("prompts*.toml"):
        for some in tomllib.loads(path.read_text(encoding="utf-8")).values():
            prompts |= {some} if isinstance(some, str) else set(some)
    return prompts


def main(data: Path, out: Path) -> None:
    made = entries(data, read_kinds(Path(__file__).with_name("kinds.toml")))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_manifest(out, made)
    kept_out = sum(entry.split == "valid" for entry in made)
    kinds = len({entry.labels for entry in made})
    print(f"{out}: {len(made)} recordings of {kinds} kinds, {kept_out} kept out of training")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
