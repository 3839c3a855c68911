"""The examples of docs/scale.md are what they say they are."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from latentfoley.cluster.manifest import Row
from latentfoley.cluster.row import request_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_every_row_of_the_manifest_is_a_request(tmp_path):
    (lines,) = blocks("json")
    rows = [json.loads(line) for line in lines.splitlines()]
    for number, cells in enumerate(rows):
        row = Row(number, cells.pop("id"), cells)
        with request_of(row, tmp_path) as request:
            assert request.n_clips == 1


def test_cluster_files_are_yaml_with_what_their_kind_needs():
    cluster, job = (yaml.safe_load(text) for text in blocks("yaml"))
    assert {"cluster_name", "provider", "auth", "head_start_ray_commands"} <= set(cluster)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    for group in (job["spec"]["rayClusterSpec"]["headGroupSpec"], *_workers(job)):
        assert group["template"]["spec"]["containers"][0]["image"]


def _workers(job):
    return job["spec"]["rayClusterSpec"]["workerGroupSpecs"]


@pytest.mark.parametrize("script", blocks("bash"))
def test_scripts_are_bash(script):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_costs_are_those_that_the_script_wrote():
    cost = json.loads((ROOT / "benchmarks" / "scale" / "cost.json").read_text("utf-8"))
    gpu = json.loads((ROOT / "benchmarks" / "gpu.json").read_text("utf-8"))
    training, clips, denoiser = cost["training"], cost["clips"], cost["denoiser"]
    assert training["steps_per_s"] == gpu["train, batch 8, bf16"]["steps_per_s"]
    assert clips["seconds_for_8"] == gpu["generate 8, bf16"]["seconds"]
    told = [training["steps_per_s"], training["gpu_hours"], clips["seconds_for_8"]]
    told += [clips["gpu_hours"], *(size["GB_of_training_state"] for size in denoiser.values())]
    told.append(f"{denoiser['L']['parameters'] / 1e6:.0f} M")
    assert [figure for figure in told if str(figure) not in PAGE] == []


def test_what_was_tried_is_what_the_scripts_wrote():
    many, overhead, everything = (
        json.loads((ROOT / "benchmarks" / "scale" / f"{name}.json").read_text("utf-8"))
        for name in ("many_rows", "overhead", "all_data")
    )
    assert many["rows"] == many["made"] == 1_000_000 and many["again"]["made"] == 0
    told = [f"{many['seconds']:.0f} s", f"{many['ms_per_row_and_worker']:g} ms a row"]
    told += [f"{many[f'driver_MB_{part}_fifth']:.0f} MB" for part in ("first", "last")]
    told.append(f"after {many['again']['seconds']:.0f} s")
    told += [f"{overhead['ratio'][kind]:g}" for kind in ("with the start", "without it")]
    told.append(f"{everything['clips']:,} recordings prepared and encoded")
    for files in ("shards", "files of windows"):
        told.append(f"{everything[f'{files} that differ']} of {everything[files]} {files}")
    assert [figure for figure in told if figure not in PAGE] == []
