"""The suite that measures editing: complete, about recordings kept out, and measured once."""

import argparse
import csv
import json
import tomllib
from collections import Counter
from pathlib import Path

import measures
import numpy as np
import pytest
import run
import soundfile
import torch
from judges import Judges
from suite import FAMILIES, OPERATIONS, SEEDS, read_suite
from tables import METHODS, NOTES, SUCCESS, TITLES, summarise

from classifier import CLASSES, Ensemble, Network, save_classifier
from latentfoley.audio import read_audio
from latentfoley.loading import RESOURCES
from signals import chirp, click, noise, tone

ROOT = Path(__file__).parents[2]
SUITE = read_suite()


class TestTheSuite:
    def test_it_has_120_cases_of_every_operation(self):
        counts = Counter(case.operation for case in SUITE)
        assert sum(counts.values()) == 120
        assert counts["transfer"] == 40
        assert counts["inpaint"] == 25
        assert counts["bands"] == counts["upsample"] == 15
        assert set(counts) == set(OPERATIONS)
        assert len(SEEDS) == 3
        assert len({case.name for case in SUITE}) == 120

    def test_every_class_is_transferred_from_and_to(self):
        transfers = [case for case in SUITE if case.operation == "transfer"]
        assert {case.label for case in transfers if case.label} == set(CLASSES)
        targets = Counter(case.target for case in transfers)
        assert set(targets) == {*CLASSES, *FAMILIES}
        assert min(targets.values()) >= 3
        assert all(case.target != case.label for case in transfers)

    def test_spans_lie_inside_and_cover_5_to_50_percent(self):
        shares = {case.group for case in SUITE if case.operation == "inpaint"}
        assert shares == {f"{share} % of the time" for share in (5, 10, 20, 30, 50)}
        for case in SUITE:
            assert all(0 <= start < stop <= 8.1 for start, stop in case.spans)
            assert all(0 <= low < high <= 8000 for low, high in case.bands)
        rates = Counter(case.rate_hz for case in SUITE if case.operation == "upsample")
        assert rates == {2000: 5, 4000: 5, 8000: 5}

    def test_every_recording_was_kept_out_of_training(self):
        with (RESOURCES / "tiny" / "ATTRIBUTION.csv").open(encoding="utf-8") as file:
            split = {row["path"]: row["split"] for row in csv.DictReader(file)}
        named = {case.source for case in SUITE} | {case.other for case in SUITE if case.other}
        assert {split[path] for path in named} == {"valid"}

    def test_no_prompt_is_a_training_caption(self):
        tables = tomllib.loads((ROOT / "recipes/tiny/captions.toml").read_text())
        known = {c.lower() for table in tables.values() for some in table.values() for c in some}
        assert not known & {case.prompt.lower() for case in SUITE}

    @pytest.mark.parametrize("row", ['{ prompt = "rain" }', '{ prompt = "rain", target = "x" }'])
    def test_a_case_that_lacks_something_is_refused(self, tmp_path, row):
        (tmp_path / "suite.toml").write_text(f"inpaint = [{row}]")
        with pytest.raises(ValueError, match="inpaint"):
            read_suite(tmp_path / "suite.toml")


class TestMeasures:
    @pytest.mark.parametrize("spans", [(), ((0.2, 0.3),), ((0.0, 0.05), (0.9, 1.0))])
    @pytest.mark.parametrize("bands", [(), ((2000.0, 4000.0),)])
    def test_the_truth_is_no_distance_away(self, spans, bands):
        found = measures.distances(noise(), noise(), spans, bands)
        assert set(found.values()) == {0.0}

    def test_what_is_wrong_in_the_edited_part_counts_there_in_full(self):
        wrong = noise()
        wrong[3200:8000] *= 10
        found = measures.distances(wrong, noise(), ((0.2, 0.5),), ())
        assert found["LSD, edited part"] == pytest.approx(2, abs=0.2)
        assert 0.4 < found["LSD"] < 0.8

    def test_bands_are_compared_apart(self):
        wrong = noise() + 0.5 * tone(3000)
        inside = measures.distances(wrong, noise(), (), ((2500.0, 3500.0),))
        outside = measures.distances(wrong, noise(), (), ((5000.0, 8000.0),))
        assert outside["LSD, edited part"] < 0.01 < inside["LSD, edited part"]
        assert measures.leak_db(wrong, noise(), ((2500.0, 3500.0),)) < -60
        assert measures.leak_db(wrong, noise(), ((5000.0, 8000.0),)) > -10

    def test_one_sample_outside_a_span_is_found(self):
        changed = noise()
        changed[3200:4800] = 0
        assert measures.changed_outside_spans(changed, noise(), ((0.2, 0.3),)) == 0
        changed[10_000] += 1e-6
        assert measures.changed_outside_spans(changed, noise(), ((0.2, 0.3),)) == 1

    def test_the_envelope_says_when_and_not_what(self):
        rhythm = (np.sin(2 * np.pi * 3 * np.arange(16_000) / 16_000) > 0).astype("f4")
        one, other = rhythm * noise(), rhythm * tone(600)
        assert measures.envelope_likeness(one, other) > 0.95
        assert (
            measures.envelope_likeness(one, (1 - rhythm) * tone(600)) < -0.6
        )  # frames at the edges hold both
        assert measures.envelope_likeness(one, tone(600) * 0) == 0

    def test_a_click_at_the_seam_stands_out(self):
        steady = noise(2.0)
        assert max(measures.seam(steady).values()) < 1.5
        ending = steady.copy()
        ending[-1200:] = 0
        assert measures.seam(ending)["spectral step"] > 3
        assert measures.seam(tone(440, 1.00114))["sample step"] > 0.3


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("classifier") / "random.safetensors"
    save_classifier(Ensemble([Network()]), path)
    return path


@pytest.fixture
def arguments(tmp_path, micro_model_folder, classifier):
    """Two cases of two operations, of recordings that are no recordings."""
    (tmp_path / "data" / "esc10" / "audio" / "rain").mkdir(parents=True)
    for name, waveform in (("a", noise(0.7)), ("b", chirp(duration_s=0.6) + click(duration_s=0.6))):
        path = tmp_path / "data" / "esc10" / "audio" / "rain" / f"{name}.wav"
        soundfile.write(path, waveform, 16_000, subtype="FLOAT")
    (tmp_path / "suite.toml").write_text(
        """
        inpaint = [
          { group = "x", source = "esc10/audio/rain/a.wav", prompt = "rain", spans = [[0.2, 0.4]] },
        ]
        transfer = [
          { group = "y", source = "esc10/audio/rain/b.wav", prompt = "a drum", target = "drum" },
        ]
        """
    )
    return argparse.Namespace(
        model=str(micro_model_folder),
        classifier=classifier,
        data=tmp_path / "data",
        place=tmp_path / "build",
        out=tmp_path / "results.json",
        probe=False,
        workers=1,
    )


class TestTheRunner:
    @pytest.fixture
    def cases(self, tmp_path):
        return read_suite(tmp_path / "suite.toml")

    @pytest.mark.slow
    def test_it_measures_keeps_and_does_not_measure_again(
        self, arguments, tmp_path, monkeypatch, cases
    ):
        results = run.measure_all(cases, arguments)
        assert set(results["cases"]) == {"inpaint-01", "transfer-01"}
        for name, case in results["cases"].items():
            assert len(case["methods"]["edit"]) == 3
            for method, rows in case["methods"].items():
                for number, row in enumerate(rows):
                    sound = arguments.place / "sounds" / f"{name}-{method}-{number}.flac"
                    assert np.abs(read_audio(sound).waveform).max(initial=0) <= 1
                    assert all(np.isfinite(value) for value in row.values())
            assert (arguments.place / "pictures" / f"{name}.png").is_file()
        inpainted = results["cases"]["inpaint-01"]["methods"]
        assert all(row["success"] == 1 for row in inpainted["edit"])
        assert inpainted["silence"][0]["LSD, edited part"] > 3
        assert results["cases"]["transfer-01"]["methods"]["keep"][0]["log-mel change"] == 0

        measured = []
        monkeypatch.setattr(run, "measure", lambda judges, case, **_: measured.append(case))
        assert run.measure_all(cases, arguments)["cases"] == results["cases"]
        assert measured == []
        page = tmp_path / "report.html"
        results["summary"] = summarise(results["cases"])
        run.write_page(page, results, cases)
        assert page.read_text().count("<audio") >= 10

    def test_a_probe_lets_the_record_stand_if_nothing_has_changed(
        self, arguments, monkeypatch, cases
    ):
        def measured(judges, case, **_):
            seen.append(case.name)
            return {"edit": [{"success": success}]}

        seen, success = [], 1.0
        monkeypatch.setattr(run, "measure", measured)
        cases = [*cases, cases[0].model_copy(update={"name": "inpaint-02"})]
        first = run.measure_all(cases, arguments)
        arguments.out.write_text(json.dumps(first))
        assert len(seen) == 3

        arguments.probe = True
        monkeypatch.setattr(run, "code_hash", lambda: "new")
        second = run.measure_all(cases, arguments)
        assert second["code_hash"] == "new"
        probed = {"measured_with": first["code_hash"], "again": ["transfer-01", "inpaint-01"]}
        assert second["probed"] == probed
        assert second["cases"] == first["cases"]
        assert seen[3:] == probed["again"]

        success = 0.0
        monkeypatch.setattr(run, "code_hash", lambda: "newer")
        arguments.out.write_text(json.dumps(second))
        with pytest.raises(SystemExit, match="transfer-01 has changed: measure all again"):
            run.measure_all(cases, arguments)

    def test_another_recording_is_measured_again(self, arguments, cases):
        ground = ["code", "weights", "classifier"]
        before = [run.fingerprint(case, arguments.data, ground) for case in cases]
        soundfile.write(arguments.data / cases[0].source, tone(), 16_000)
        after = [run.fingerprint(case, arguments.data, ground) for case in cases]
        assert before[0] != after[0]
        assert before[1] == after[1]
        assert run.fingerprint(cases[1], arguments.data, ["other", *ground[1:]]) != before[1]

    def test_clap_names_the_kind_whose_captions_are_nearest(self, micro_model, classifier):
        judges = Judges(micro_model, classifier)
        names, E = judges._kinds
        assert len(names) == 27
        waveform = noise()
        judges.heard = lambda _: E[names.index("sn")].numpy()
        assert judges.clap_kind(waveform) == "drum"
        judges.heard = lambda _: E[names.index("rain")].numpy()
        assert judges.clap_kind(waveform) == "rain"
        assert judges.named(np.zeros(100, np.float32)) in CLASSES


def test_every_operation_and_method_has_its_words():
    assert set(TITLES) == set(SUCCESS) == set(OPERATIONS)
    assert set(METHODS) >= {"edit", "inverted", "silence", "sinc", "keep", "reconstruction", "mix"}
    assert all(NOTES.values())
