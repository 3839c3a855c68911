"""The embedded model: complete, small, attributed, and measured as it is committed."""

import csv
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import latentfoley
from latentfoley.checkpoints.tensors import hash_weights
from latentfoley.loading import RESOURCES

TINY = RESOURCES / "tiny"
ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks" / "tiny"
FREE_LICENCES = {"CC0", "CC-BY", "CC-BY-3.0", "CC-BY-4.0", "MIT", "PD"}


@pytest.fixture(scope="module")
def model():
    return latentfoley.load("tiny")


def rows(name: str) -> list[dict[str, str]]:
    with (TINY / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_is_at_most_96_megabytes():
    assert sum(file.stat().st_size for file in TINY.rglob("*") if file.is_file()) <= 96_000_000


def test_every_recording_behind_it_is_attributed_and_free():
    recordings = rows("ATTRIBUTION.csv")
    assert Counter(row["parts"] for row in recordings) == {"all": 3330, "vocoder": 43}
    assert {row["licence"] for row in recordings} <= FREE_LICENCES
    assert all(row["title"] and row["licence_url"] for row in recordings)
    # Some CC0 samples of Sonic Pi name no page; CC-BY asks for author and source.
    owed = [row for row in recordings if row["licence"].startswith("CC-BY")]
    assert all(row["author"] and row["source_url"] for row in owed)


def test_no_source_is_both_trained_on_and_kept_out():
    """Freesound's number of a source stands in its address, which the folders write differently."""
    by_split = {
        split: {
            number
            for row in rows("ATTRIBUTION.csv")
            if row["split"] == split and not row["path"].startswith("sonicpi/")
            for number in re.findall(
                r"freesound\.org/(?:people/[^/]+/sounds|s)/(\d+)", row["source_url"]
            )
        }
        for split in ("train", "valid")
    }
    assert len(by_split["valid"]) > 20
    assert not by_split["train"] & by_split["valid"]


def test_the_prompts_that_measure_it_are_in_no_training_caption():
    kinds = tomllib.loads((ROOT / "recipes/tiny/kinds.toml").read_text())["kinds"]
    first = tomllib.loads((ROOT / "recipes/tiny/captions.toml").read_text())["esc10"]
    prompts = {}
    for name in ("prompts", "prompts-esc50"):
        prompts |= tomllib.loads((BENCHMARKS / f"{name}.toml").read_text())
    assert len(prompts) == 50
    assert prompts.keys() <= kinds.keys()
    known = {caption.lower() for some in first.values() for caption in some}
    known |= {c.lower() for of in kinds.values() for c in of["captions"] + of.get("also", [])}
    assert not known & {prompt.lower() for some in prompts.values() for prompt in some}
    assert all(len(set(some)) == 10 for some in prompts.values())


@pytest.mark.parametrize(
    "report", ["tiny/recognition", "tiny/reconstruction", "tiny/further", "evaluation/tiny"]
)
def test_its_figures_were_measured_on_these_weights(report):
    measured = json.loads((ROOT / f"benchmarks/{report}.json").read_text())
    assert measured["model_hash"] == hash_weights(TINY)


def test_its_card_states_the_measured_figures():
    card = (TINY / "MODEL_CARD.md").read_text(encoding="utf-8")
    recognition = json.loads((BENCHMARKS / "recognition.json").read_text())
    assert f"{recognition['from texts']['accuracy']:.1%}" in card
    assert "<!--" not in card


def test_its_card_states_what_evaluate_found():
    card = (TINY / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = json.loads((ROOT / "benchmarks/evaluation/tiny.json").read_text())
    assert report["generated from texts"]["n"] == report["real recordings"]["n"]
    for name in ("real recordings", "generated from texts"):
        for ears, score in (("classifier", "FD"), ("classifier", "KAD"), ("clap (tiny)", "KAD")):
            figure = report[name]["scores"][ears][score]
            low, high = figure["interval_95"]
            assert low <= figure["value"] <= high
            assert f"{figure['value']:.3g} ({low:.3g} to {high:.3g})" in card, (name, ears, score)


def test_the_card_says_how_often_drums_are_silent():
    report = json.loads((BENCHMARKS / "drums.json").read_text())
    short, long = (report["clips"][name] for name in ("2 s", "5 s"))
    said = f"at 2 s {short['faint']} of {short['n']}, at 5 s {long['faint']} of {long['n']} ("
    assert said in (TINY / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_readme_states_the_measured_figures():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reports = {
        name: json.loads((BENCHMARKS / f"{name}.json").read_text())
        for name in ("recognition", "speed")
    }
    for name in (
        "held-out recordings",
        "the same through VAE and vocoder",
        "from texts",
        "from held-out recordings",
    ):
        figures = reports["recognition"][name]
        low, high = figures["interval_95"]
        stated = f"{figures['accuracy']:.1%} ({low:.0%} to {high:.0%}, n = {figures['n']})"
        assert stated in readme, name
    for name in ("demo (dog bark and picture)", "5 s clip, loaded model"):
        assert f"{reports['speed'][name]['median_s']:g} s" in readme, name


def test_a_prompt_makes_the_asked_number_of_samples_of_audible_sound(model):
    (clip,) = model.generate("a dog barking", duration_s=5.0, steps=8)
    assert clip.waveform.shape == (80_000,)
    assert 0.02 < np.abs(clip.waveform).max() <= 1


def test_it_hears_what_it_made(model):
    """CLAP's audio tower puts a generated sound nearer to its own prompt than to another."""
    texts = ["rain", "a rooster crowing"]
    E = model.text.embed(texts)
    for own, text in enumerate(texts):
        (clip,) = model.generate(text, seed=1)
        scores = E @ model.audio.embed(clip.waveform, clip.sample_rate)
        assert int(scores.argmax()) == own


def test_a_synonym_lands_beside_the_caption(model):
    puppy, dog, rain = model.text.embed(["a puppy yapping", "a dog barking", "rain"])
    assert puppy @ dog > puppy @ rain + 0.2


def test_it_knows_what_it_knows(model):
    report = json.loads((BENCHMARKS / "known.json").read_text())
    assert model.known.threshold == report["threshold"]
    assert report["known prompts warned of"] <= 0.2
    assert report["unknown prompts not warned of"] <= 0.2
    assert {"dog_bark", "rain", "chainsaw", "footsteps", "sword_clash"} <= set(model.known.names)


def test_it_says_what_it_does_not_know(model):
    assert model.far(["a dog barking"]) is None
    assert model.far(["a dog barking", "a sword being drawn"]).text == "a sword being drawn"
