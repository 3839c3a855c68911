"""A dictionary of texts that lives on disk, for what grows with the number of recordings."""

import sqlite3
from types import TracebackType
from typing import Self

_CACHE_KIB = 512


class DiskTable:
    """Texts by key, in a private file that SQLite removes; memory stays at its cache."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)  # "" is a temporary file
        self._rows.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._rows.execute("CREATE TABLE texts (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        self._rows.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.close()

    def __len__(self) -> int:
        return int(self._rows.execute("SELECT COUNT(*) FROM texts").fetchone()[0])

    def __getitem__(self, key: str) -> str:
        text = self.get(key)
        if text is None:
            raise KeyError(key)
        return text

    def __setitem__(self, key: str, text: str) -> None:
        self._rows.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (key, text))

    def get(self, key: str) -> str | None:
        """Return the text of a key, or None."""
        row = self._rows.execute("SELECT text FROM texts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def setdefault(self, key: str, text: str) -> str:
        """Return what stands under a key, and put `text` there if nothing does."""
        there = self.get(key)
        if there is None:
            self[key] = text
        return text if there is None else there
