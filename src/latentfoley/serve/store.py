"""Jobs on disk: a table in SQLite, and a folder of recordings and sounds for each job.

What was accepted is in the table before it is answered, and stays there through a crash of the
process or the machine (write-ahead log, synchronous). One process writes. A job whose sounds were
removed leaves a row behind for as long as its idempotency key must be known.
"""

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from latentfoley.errors import InputError

# On disk a job is queued until it has ended: what runs is known by who runs it.
State = Literal["queued", "running", "done", "failed", "cancelled", "removed"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
KEYS_KEPT_S = 30 * 86_400.0  # a key is known for as long, though its sounds may be gone

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    key TEXT,
    fingerprint TEXT NOT NULL,
    request TEXT NOT NULL,
    n_clips INTEGER NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    sounds TEXT NOT NULL DEFAULT '[]',
    problem TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, key)
);
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, number);
"""


@dataclass(frozen=True)
class Job:
    """One row.

    Attributes:
        id: 32 hexadecimal digits, drawn at random.
        owner: fingerprint of the token that asked; "" without tokens.
        key: the client's idempotency key.
        fingerprint: of what was asked, to tell a repetition from another request.
        request: what to make, as `requests.build` takes it.
        n_clips: sounds that were asked for.
        state: see `State`.
        tries: how often a worker died with it.
        created, started, ended: seconds since 1970.
        sounds: what is there: {"identity", "duration_s", "score"} of each clip, in order.
        problem: why it failed, in words.
    """

    id: str
    owner: str
    key: str | None
    fingerprint: str
    request: Mapping[str, Any]
    n_clips: int
    state: State = "queued"
    tries: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    sounds: tuple[Mapping[str, Any], ...] = ()
    problem: str = ""


_COLUMNS = tuple(Job.__dataclass_fields__)


class Store:
    """The table, and the folder `jobs` beside it. Methods may be called from any thread.

    Raises:
        InputError: another server uses the folder.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "jobs"
        self.folder.mkdir(exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            folder / "jobs.sqlite", timeout=1, check_same_thread=False, isolation_level=None
        )
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise InputError(
                f"the job store in '{folder}' cannot be used ({error}); "
                "if another server runs there, give this one a folder of its own"
            ) from None

    def close(self) -> None:
        """Close the table; everything in it is on disk already."""
        self._db.close()

    def folder_of(self, job_id: str) -> Path:
        """Return where a job's recordings and sounds are."""
        return self.folder / job_id

    def add(self, job: Job) -> Job:
        """Add a job, or return the one that this owner has under the same key."""
        with self._writing():
            if job.key is not None:
                there = self._one("owner = ? AND key = ?", job.owner, job.key)
                if there is not None:
                    return there
            self._db.execute(
                "INSERT INTO jobs (id, owner, key, fingerprint, request, n_clips, state, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(job.id, job.owner, job.key, job.fingerprint),
                    *(json.dumps(dict(job.request)), job.n_clips, job.state, job.created),
                ),
            )
        return job

    def get(self, job_id: str) -> Job | None:
        """Return a job."""
        with self._lock:
            return self._one("id = ?", job_id)

    def by_key(self, owner: str, key: str) -> Job | None:
        """Return the job of an idempotency key."""
        with self._lock:
            return self._one("owner = ? AND key = ?", owner, key)

    def latest(self, owner: str, n: int) -> list[Job]:
        """Return the last `n` jobs of an owner whose sounds were not removed, newest first."""
        with self._lock:
            return self._all(
                "owner = ? AND state != 'removed' ORDER BY number DESC LIMIT ?", owner, n
            )

    def recover(self) -> list[Job]:
        """Drop folders without a row, and return the jobs that have not ended, oldest first."""
        with self._lock:
            queue = self._all("state = 'queued' ORDER BY number")
            known = {row[0] for row in self._db.execute("SELECT id FROM jobs")}
        for folder in self.folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        return queue

    def update(self, job_id: str, **values: Any) -> None:
        """Change columns of a job."""
        if "sounds" in values:
            values["sounds"] = json.dumps([dict(sound) for sound in values["sounds"]])
        names = ", ".join(f"{name} = ?" for name in values)
        with self._writing():
            self._db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), job_id))

    def end(self, job_id: str, state: State, **values: Any) -> None:
        """Settle a job: its state, when that was, and how much its folder holds."""
        files = (file for file in self.folder_of(job_id).rglob("*") if file.is_file())
        size = sum(file.stat().st_size for file in files)
        self.update(job_id, state=state, ended=time.time(), bytes=size, **values)

    def remove(self, job_id: str) -> None:
        """Delete a job's recordings, sounds and prompts; its key stays known."""
        self.update(job_id, state="removed", request="{}", sounds=(), bytes=0)
        shutil.rmtree(self.folder_of(job_id), ignore_errors=True)

    def tidy(self, keep_s: float, keep_bytes: int, now: float) -> int:
        """Remove what has ended longer ago than `keep_s`, then the oldest until the rest fits into
        `keep_bytes`; return how many were removed."""
        with self._lock:
            ended = self._db.execute(
                "SELECT id, ended, bytes FROM jobs WHERE state IN (?, ?, ?) ORDER BY ended", ENDED
            ).fetchall()
        total, gone = sum(size for _, _, size in ended), 0
        for job_id, when, size in ended:
            if when > now - keep_s and total <= keep_bytes:
                break
            self.remove(job_id)
            total, gone = total - size, gone + 1
        with self._writing():
            self._db.execute(
                "DELETE FROM jobs WHERE state = 'removed' AND ended < ?",
                (now - max(keep_s, KEYS_KEPT_S),),
            )
        return gone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def _one(self, where: str, *values: Any) -> Job | None:
        found = self._all(where, *values)
        return found[0] if found else None

    def _all(self, where: str, *values: Any) -> list[Job]:
        rows = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE {where}", values)
        return [_job(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _job(row: dict[str, Any]) -> Job:
    sounds = tuple(json.loads(row["sounds"]))
    return Job(**{**row, "request": json.loads(row["request"]), "sounds": sounds})
