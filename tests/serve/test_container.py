"""The Containerfile cannot be built here: its lines are read, and its install steps run."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from latentfoley.cli.serve import serve

ROOT = Path(__file__).parents[2]


def steps():
    """Return (word, rest) of every instruction, lines joined."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def values(word):
    return [rest for name, rest in steps() if name == word]


def test_runs_as_a_normal_user_with_a_volume_and_a_health_check():
    words = [word for word, _ in steps()]
    assert set(words) <= {
        *("FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER"),
        *("ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert values("USER") == ["latentfoley"] and values("VOLUME") == ["/data"]
    assert "/health/ready" in values("HEALTHCHECK")[0]


def test_copies_what_is_there():
    for rest in values("COPY"):
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_starts_the_server_with_options_that_it_has():
    words = json.loads(values("ENTRYPOINT")[0]) + json.loads(values("CMD")[0])
    assert words[0].endswith("/latentfoley") and words[1] == "serve"
    known = inspect.signature(serve).parameters
    for option in (word for word in words if word.startswith("--")):
        assert option[2:].replace("-", "_") in known, option


def test_the_compose_file_fits_it():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    (service,) = compose["services"].values()
    assert service["build"]["dockerfile"] == "Containerfile"
    assert service["ports"] == ["127.0.0.1:8321:8321"]
    (secret,) = service["secrets"]
    assert secret in compose["secrets"] and f"/run/secrets/{secret}" in values("CMD")[0]
    (volume,) = service["volumes"]
    assert volume.partition(":")[0] in compose["volumes"]
    assert volume.partition(":")[2] in values("VOLUME")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_its_install_steps_work_in_a_virtual_environment(tmp_path):
    """As in the container, but with the packages this machine's index has."""
    (install,) = [rest for rest in values("RUN") if "pip install" in rest]
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    install = re.sub(r"--extra-index-url \S+ ", "", install)
    install = install.replace("/opt/venv/bin/pip", f"{tmp_path / 'bin' / 'python'} -m pip")
    subprocess.run(shlex.split(install), check=True, cwd=ROOT)
    command = [tmp_path / "bin" / "latentfoley", "serve", "--help"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0 and "--token-file" in told.stdout
