"""On Ray a set has the scores, and an ablation the results, that one process gives, to the bit.

In the quick tests tasks run in this process, sent and answered as bytes.
"""

import dataclasses
import pickle
import sys
from contextlib import nullcontext

import pytest
import soundfile

from latentfoley import on_ray
from latentfoley.errors import AudioFileError, MissingExtraError, ModelError
from latentfoley.evaluation import evaluate as evaluation
from latentfoley.evaluation.ablation import run
from latentfoley.evaluation.ablation.recipe import AblationRecipe
from latentfoley.evaluation.ablation.run import ablate
from latentfoley.evaluation.embedders import find_embedder
from latentfoley.evaluation.evaluate import Settings, evaluate
from latentfoley.evaluation.features import extract, extractors
from latentfoley.evaluation.features.cache import Cache
from latentfoley.evaluation.features.extractors import FeatureExtractor
from latentfoley.evaluation.metrics.score import Bootstrap
from latentfoley.evaluation.sets import generated
from latentfoley.evaluation.sets.choose import as_set
from latentfoley.pools import on_one_core
from latentfoley.request import GenerationRequest
from signals import noise, tone


@pytest.fixture
def sounds(tmp_path):
    """Two folders of ten sounds, which is more than one task each."""
    for name, seed in (("made", 0), ("real", 50)):
        (tmp_path / name).mkdir()
        for k in range(10):
            sound = noise(0.4, seed=seed + k) if k % 2 else tone(200 + 90 * k + seed, 0.4)
            soundfile.write(tmp_path / name / f"{k}.wav", sound, 16_000)
    return tmp_path / "made", tmp_path / "real"


@pytest.fixture
def micro(micro_model_folder):
    """What the micro model's CLAP is called."""
    return f"clap={micro_model_folder}"


@pytest.fixture
def recipe(tmp_path, micro, micro_model_folder):
    """A recipe of two cells, with metrics of clips, of sets and of levels."""
    values = {
        "prompts": ["rain", "a dog", "a bell", "the sea", "wind"],
        "metrics": ["CLAP score", "FD", "IS", "loudness"],
        "embedders": [micro],
        "reference": str(tmp_path / "real"),
        "permutations": 99,
        "resamples": 20,
        "models": {"micro": str(micro_model_folder)},
        "sampling": {"duration_s": 0.2},
        "grid": {"steps": [1, 2]},
    }
    return AblationRecipe.parse(values, where="recipe.toml")


@pytest.fixture
def sent(monkeypatch):
    """Tasks go as bytes to a function of this process; the list of what was sent."""
    tasks_sent = []

    def map_in_tasks(function, tasks, workers=None, **_):
        for task in tasks:
            work, one = pickle.loads(pickle.dumps((function, task)))
            tasks_sent.append(one)
            yield pickle.loads(pickle.dumps(work(one)))

    for module in (extract, generated, on_ray):
        monkeypatch.setattr(module, "map_in_tasks", map_in_tasks)
    for module in (evaluation, run):
        monkeypatch.setattr(module, "connected", nullcontext)
    with on_one_core():  # which tasks set for their process
        yield tasks_sent


@pytest.fixture(scope="module")
def ray():
    """A Ray of this machine."""
    pytest.importorskip("ray")
    with on_ray.connected() as module:
        yield module


def settings(*embedders, **changes):
    return Settings(embedders=embedders, bootstrap=Bootstrap(resamples=20), **changes)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def require_the_same_scores(sounds, micro, tmp_path):
    caches = tmp_path / "cache", tmp_path / "cache of ray"
    here = evaluate(*sounds, settings(micro, cache=caches[0]))
    there = evaluate(*sounds, settings(micro, cache=caches[1], ray=True))
    assert there.to_record() == here.to_record()
    assert len(files(caches[0])) == 2 * 20
    assert files(caches[1]) == files(caches[0])


def require_the_same_ablation(recipe, tmp_path):
    here = ablate(recipe, tmp_path / "here", workers=1)
    there = ablate(recipe, tmp_path / "there", ray=True)
    assert there == here
    assert len(files(tmp_path / "there/clips")) == 10
    assert files(tmp_path / "there/clips").keys() == files(tmp_path / "here/clips").keys()


def require_a_refusal_of_other_weights(sounds, micro):
    """What a task says is what the user reads."""
    embedder = dataclasses.replace(find_embedder(micro), weights_hash="0" * 64)
    extractor = FeatureExtractor(micro, embedder, embedder.preprocessing)
    with pytest.raises(ModelError, match=r"^the embedder 'clap=.*' has other weights on"):
        extract.extract_features(as_set(sounds[0]), extractor, Cache(None), ray=True)


class TestFeatures:
    def test_scores_and_the_cache_are_those_of_threads(self, sounds, micro, tmp_path, sent):
        require_the_same_scores(sounds, micro, tmp_path)
        assert [len(clips) for clips in sent] == [8, 2, 8, 2]

    def test_an_embedder_is_found_once_in_a_process(self, sounds, micro, sent, monkeypatch):
        found, find = [], extractors.find_embedder
        monkeypatch.setattr(
            extractors, "find_embedder", lambda spec: found.append(spec) or find(spec)
        )
        extractors._find.cache_clear()
        evaluate(*sounds, settings(micro, ray=True))
        assert (len(sent), found) == (4, [micro])

    def test_every_file_that_cannot_be_read_is_named(self, sounds, micro, sent):
        made = as_set(sounds[0])
        for k in (3, 9):  # in two tasks
            made.clips[k].path.write_bytes(b"RIFF")
        with pytest.raises(AudioFileError, match=r"(?s)3\.wav.*9\.wav"):
            evaluate(made, sounds[1], settings(micro, ray=True))

    def test_other_weights_on_another_machine_are_refused(self, sounds, micro, sent):
        require_a_refusal_of_other_weights(sounds, micro)


class TestCells:
    def test_results_are_those_of_one_process(self, sounds, recipe, tmp_path, sent):
        require_the_same_ablation(recipe, tmp_path)

    def test_a_model_that_is_another_one_elsewhere_is_refused(self, recipe, micro_model_folder):
        request = GenerationRequest.build("rain", steps=1, duration_s=0.2)
        job = generated.find_job(micro_model_folder, str(micro_model_folder), "auto", request)
        other = job.made_by.model_copy(update={"weights": "0" * 64})
        with pytest.raises(ModelError, match=r"not the one where the .*: weights \w+ instead of 0"):
            generated.generate_elsewhere(dataclasses.replace(job, made_by=other))


@pytest.mark.parametrize("what", ["evaluate", "ablate"])
def test_without_ray_it_says_how_to_install_it(what, sounds, recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latentfoley\[ray\]'"):
        if what == "evaluate":
            evaluate(*sounds, settings(ray=True))
        else:
            ablate(recipe, tmp_path / "out", ray=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_features_on_ray(ray, sounds, micro, tmp_path):
    require_the_same_scores(sounds, micro, tmp_path)
    require_a_refusal_of_other_weights(sounds, micro)


@pytest.mark.slow
def test_cells_on_ray(ray, sounds, recipe, tmp_path):
    require_the_same_ablation(recipe, tmp_path)
