"""The whole chain with every place in an S3-compatible store on loopback (moto's server).

Recordings → `data prepare` → `data encode` → `train diffusion` for a few steps → `batch` →
`evaluate`, each as the command that a user types. Shards and latents are compared with those of the
same commands on this machine, and everything that was written is searched for the secret: objects,
what commands print, Ray's logs, reports, caches and the run.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/scale/remote.py
"""

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import soundfile

SECRET = "a-secret-that-is-nowhere"
STORE = "s3://sounds"
ROWS = [
    {"id": "dog", "prompt": "a dog barking", "seed": 7, "steps": 2, "duration_s": 1},
    {"id": "vary", "edit": "vary", "source": f"{STORE}/recordings/0.wav", "steps": 2},
    {"id": "gone", "edit": "vary", "source": f"{STORE}/recordings/gone.wav", "steps": 2},
]


def main() -> None:
    """Run it and write what was found."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with tempfile.TemporaryDirectory(prefix="lf-") as folder:
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "RAY_TMPDIR": f"{folder}/ray"}
        Path(folder, "ray").mkdir()
        found = try_it(Path(folder))
    server.stop()
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def try_it(folder: Path) -> dict[str, Any]:
    """Return what became of the chain."""
    from latentfoley.places import Place

    bucket = Place.of(STORE)
    bucket.files.mkdir("sounds")
    write_inputs(bucket, folder)
    here = encode_on(folder, folder / "local")
    first, again = encode_on(folder, STORE), encode_on(folder, STORE)
    same = hashes(Place.of(folder / "local")) == hashes(bucket)
    train(folder)
    batch = [
        "batch",
        f"{STORE}/manifest.jsonl",
        "--out",
        f"{STORE}/out",
        "--json",
        "--workers",
        "1",
    ]
    batches = [json.loads(run(folder, *batch, code=1)) for _ in range(2)]  # a row fails
    words = ["--no-cache", "--json", f"{folder}/scores.json", "--html", f"{folder}/scores.html"]
    run(folder, "evaluate", f"{STORE}/out", f"{STORE}/prepared", *words)
    scores = json.loads((folder / "scores.json").read_text())
    objects = [name.removeprefix("sounds/") for name in sorted(bucket.files.find("sounds"))]
    results = pyarrow.parquet.read_table(io.BytesIO(bucket.read("out/results/part-000000.parquet")))
    return {
        "objects": objects,
        "windows": [one["n_windows"] for one in (here, first, again)],
        "shards_and_latents_are_those_of_a_local_run": same,
        "first_batch": batches[0],
        "second_batch": batches[1],
        "identities_are_those_of_one_process": results["identity"].to_pylist() == alone(folder),
        "reasons": results["reason"].to_pylist(),
        "evaluated": [scores[name] for name in ("generated", "reference", "n_generated")],
        "searched_for_the_secret": searched(folder, bucket, str(results.to_pylist())),
    }


def write_inputs(bucket: Any, folder: Path) -> None:
    """Write recordings here and there, and a manifest there."""
    (folder / "local" / "recordings").mkdir(parents=True)
    for k in range(6):
        sound = np.random.default_rng(k).normal(0, 0.1, 8000 + 800 * k)
        path = folder / "local" / "recordings" / f"{k}.wav"
        soundfile.write(path, sound, 16_000)
        bucket.write(f"recordings/{k}.wav", path.read_bytes())
    bucket.write("manifest.jsonl", "\n".join(map(json.dumps, ROWS)).encode())


def run(folder: Path, *words: str, code: int = 0) -> str:
    """Run a command that ends with a code, keep what it says, and return what is on stdout."""
    command = [sys.executable, "-m", "latentfoley", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    with (folder / "commands.log").open("a") as log:
        log.write(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    if done.returncode != code:
        raise SystemExit(done.stderr)
    return done.stdout


def encode_on(folder: Path, root: object) -> dict[str, Any]:
    """Prepare and encode the recordings under a root, a folder or the name of a place."""
    recordings, prepared, latents = (f"{root}/{n}" for n in ("recordings", "prepared", "latents"))
    options = ["--per-shard", "2", "--held-out", "0", "--workers", "2"]
    run(folder, "data", "prepare", recordings, prepared, *options)
    made: dict[str, Any] = json.loads(
        run(folder, "data", "encode", prepared, latents, "--duration", "0.64", "--json")
    )
    return made


def train(folder: Path) -> None:
    """Train the embedded model on for a few steps, on the latents in the store."""
    values = {"run.folder": folder / "run", "data.latents": f"{STORE}/latents", "start": "tiny"}
    values |= {"run.steps": 4, "run.batch_size": 2, "run.precision": "fp32"}
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    run(folder, "train", "diffusion", "my-recordings", *words, "--device", "cpu")


def alone(folder: Path) -> list[str]:
    """Return the identities of the rows' sounds, made in this process from local files."""
    import latentfoley

    model = latentfoley.load("tiny", device="cpu")
    (dog,) = model.generate("a dog barking", seed=7, steps=2, duration_s=1)
    (varied,) = model.edit("vary", folder / "local" / "recordings" / "0.wav", steps=2)
    return [dog.provenance.identity, varied.provenance.identity, ""]


def hashes(root: Any) -> dict[str, str]:
    """Return the SHA-256 of every shard and file of latents."""
    names = [f"{part}/{name}" for part in ("prepared", "latents") for name in root.names(part)]
    return {name: root.hash(name) for name in names if name.endswith((".tar", ".safetensors"))}


def searched(folder: Path, bucket: Any, results: str) -> dict[str, int]:
    """Return how many bytes of what were searched for the secret, and how many files hold it.

    Raises:
        SystemExit: there was nothing of a kind to search, so that nothing was shown.
    """
    kinds: dict[str, Iterator[bytes]] = {
        "objects": (bucket.files.cat_file(name) for name in bucket.files.find("sounds")),
        "results, unpacked": iter([results.encode()]),
        "Ray's logs": files(folder / "ray"),
        "the run": files(folder / "run"),
        "caches": files(folder / "cache"),
        "what commands said": iter([(folder / "commands.log").read_bytes()]),
        "reports": (path.read_bytes() for path in folder.glob("scores.*")),
    }
    found: dict[str, int] = {"files that hold it": 0}
    for kind, every in kinds.items():
        n_bytes = 0
        for data in every:
            n_bytes += len(data)
            found["files that hold it"] += SECRET.encode() in data
        if not n_bytes:
            raise SystemExit(f"there is nothing of {kind} to search")
        found[f"bytes of {kind}"] = n_bytes
    return found


def files(folder: Path) -> Iterator[bytes]:
    """Yield what every file under a folder holds."""
    return (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


if __name__ == "__main__":
    main()
