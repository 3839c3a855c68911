"""A batch whose manifest, recordings and results lie in an S3-compatible store on loopback.

The store is moto's server. It and s3fs need python-dateutil < 3, and therefore an environment of
their own:

    pip install --target s3 s3fs 'moto[server]'
    PYTHONPATH=s3:src OMP_NUM_THREADS=1 python benchmarks/scale/remote.py
"""

import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet
import soundfile

SECRET = "a-secret-that-is-nowhere"
ROWS = [
    {"id": "dog", "prompt": "a dog barking", "seed": 7, "steps": 2, "duration_s": 1},
    {"id": "vary", "edit": "vary", "source": "s3://sounds/noise.wav", "steps": 2},
    {"id": "gone", "edit": "vary", "source": "s3://sounds/gone.wav", "steps": 2},
]


def main() -> None:
    """Run it and write what was found."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    import latentfoley
    from latentfoley.cluster.batch import Workers
    from latentfoley.places import Place

    bucket = Place.of("s3://sounds")
    bucket.files.mkdir("sounds")
    noise = io.BytesIO()
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 8000), 16_000, format="WAV")
    bucket.write("noise.wav", noise.getvalue())
    bucket.write("manifest.jsonl", "\n".join(map(json.dumps, ROWS)).encode())
    runs = [
        latentfoley.batch(
            "s3://sounds/manifest.jsonl", "s3://sounds/out", workers=Workers(1), device="cpu"
        )
        for _ in range(2)
    ]
    out = Place.of("s3://sounds/out")
    results = pyarrow.parquet.read_table(io.BytesIO(out.read("results/part-000000.parquet") or b""))
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, "noise.wav")
        local.write_bytes(noise.getvalue())
        model = latentfoley.load("tiny", device="cpu")
        (dog,) = model.generate("a dog barking", seed=7, steps=2, duration_s=1)
        (varied,) = model.edit("vary", local, steps=2)
    identities = [dog.provenance.identity, varied.provenance.identity, ""]
    objects = [bucket.files.cat_file(name) for name in bucket.files.find("sounds")]
    found = {
        "objects": sorted(bucket.files.find("sounds")),
        "first_run": runs[0]._asdict(),
        "second_run": runs[1]._asdict(),
        "identities_are_those_of_one_process": results["identity"].to_pylist() == identities,
        "reasons": results["reason"].to_pylist(),
        "objects_that_hold_the_secret": sum(SECRET.encode() in data for data in objects),
    }
    server.stop()
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
