"""What surrounds the package says the same as the package: workflows, metadata, forms."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from latentfoley.version import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_makes_targets_that_there_are(path):
    commands = "\n".join(step.get("run", "") for step in steps_of(read(path)))
    made = re.findall(r"^\s*make (\w+)", commands, re.M)
    assert made
    assert {*made} <= {*TARGETS}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_trusts_nothing_that_can_change_and_may_nothing_it_need_not(path):
    workflow = read(path)
    assert workflow["permissions"] == {}
    used = [step["uses"] for step in steps_of(workflow) if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_the_release_is_published_without_a_password_and_attested():
    jobs = read(ROOT / ".github/workflows/release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
    assert any("attest-build-provenance" in s.get("uses", "") for s in jobs["build"]["steps"])


def test_the_pythons_and_systems_that_are_claimed_are_tested():
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    classifiers = PROJECT["classifiers"]
    claimed = [c.rsplit(" ", 1)[1] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)]
    assert matrix["python"] == claimed
    assert PROJECT["requires-python"] == f">={claimed[0]}"
    systems = {c.split(" :: ")[-1] for c in classifiers if c.startswith("Operating System")}
    names = {"ubuntu": "Linux", "macos": "MacOS", "windows": "Windows"}
    assert {names[image.split("-")[0]] for image in matrix["os"]} == systems


def test_types_are_shipped_and_said():
    assert (ROOT / "src/latentfoley/py.typed").read_bytes() == b""
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_the_citation_is_of_this_version():
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize("path", FORMS, ids=lambda p: p.stem)
def test_a_form_asks_for_something(path):
    form = read(path)
    if path.stem == "config":
        assert form.keys() == {"blank_issues_enabled"}
        return
    assert form["name"] and form["description"]
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_every_extra_is_pinned():
    """Whoever installs with constraints.txt installs what was tested."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines if line}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = (re.match(r"[\w.-]+", one)[0] for group in groups for one in group)
    asked = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    assert asked <= pinned


def build_wheel(out):
    """Build the wheel as `make wheel` does and return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_is_whole_small_enough_and_the_same_every_time(tmp_path):
    one, other = build_wheel(tmp_path / "one"), build_wheel(tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 100_000_000, "more than PyPI takes"
    kept = {name for name in zipfile.ZipFile(one).namelist() if name.startswith("latentfoley/")}
    files = [path for path in (ROOT / "src").rglob("*") if path.is_file()]
    source = {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert kept == {name for name in source if "__pycache__" not in name}
