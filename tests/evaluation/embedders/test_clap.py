"""CLAP as an embedder: one space for sounds and texts, and a hash of all that matters."""

import numpy as np
import pytest
import torch

from latentfoley.clap_audio import audio_features, cut_windows
from latentfoley.errors import ModelError
from latentfoley.evaluation.embedders import find_embedder
from micro import FRONT_END, clap_folder
from signals import noise, tone


def test_sounds_and_texts_share_a_space(micro_model_folder):
    clap = find_embedder(f"clap={micro_model_folder}")
    (features,) = clap.embed([noise(0.7)])
    texts = clap.embed_texts(["rain", "a dog"])
    assert features.windows.shape == (1, texts.shape[1])
    assert np.linalg.norm(features.windows) == pytest.approx(1)
    assert features.logits.shape == (10,)
    assert len(clap.weights_hash) == 64


def test_the_same_sound_has_the_same_features(micro_model_folder):
    clap = find_embedder(f"clap={micro_model_folder}")
    assert np.array_equal(clap.embed([tone()])[0].windows, clap.embed([tone()])[0].windows)


def test_logits_do_not_depend_on_the_number_of_threads():
    threads, logits = torch.get_num_threads(), []
    for n in (1, 2):
        torch.set_num_threads(n)
        clap = find_embedder("clap")  # whose text tower is wide enough for two
        torch.set_num_threads(threads)
        logits.append(clap.embed([tone()])[0].logits)
    assert np.array_equal(*logits)


def test_company_moves_nothing_beyond_rounding(micro_model_folder):
    clap = find_embedder(f"clap={micro_model_folder}")
    sounds = [
        noise(0.7),
        tone(),
        noise(12.0, seed=1),
        noise(0.1),
        *(noise(1.0, seed=k) for k in range(9)),
    ]
    together = clap.embed(sounds)
    for sound, features in zip(sounds, together, strict=True):
        (alone,) = clap.embed([sound])
        assert features.windows == pytest.approx(alone.windows, abs=1e-6)
        assert features.logits == pytest.approx(alone.logits, abs=1e-4)


def test_a_folder_of_transformers_is_what_transformers_computes(tmp_path):
    from transformers import AutoTokenizer, ClapModel

    clap_folder(tmp_path / "their")
    clap = find_embedder(f"clap={tmp_path / 'their'}")
    theirs = ClapModel.from_pretrained(tmp_path / "their").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "their")
    tokens = tokenizer(["rain", "a dog"], padding=True, return_tensors="pt")
    words = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    windows = cut_windows(torch.from_numpy(tone(duration_s=1.0)), FRONT_END.n_samples)
    with torch.no_grad():
        out = theirs(**words, input_features=audio_features(windows, FRONT_END))
    assert clap.embed_texts(["rain", "a dog"]) == pytest.approx(out.text_embeds.numpy(), abs=1e-6)
    (heard,) = clap.embed([tone(duration_s=1.0)])
    assert heard.windows == pytest.approx(out.audio_embeds.numpy(), abs=1e-6)
    assert clap.name == "clap (their)"
    assert clap.preprocessing.resampler == "sinc-hann-6"  # as before every published CLAP


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="holds a 'bert', not a CLAP"):
        find_embedder(f"clap={tmp_path}")
    with pytest.raises(ModelError, match="no folder"):
        find_embedder("clap=nowhere")


def test_other_weights_have_another_hash(micro_model_folder):
    assert find_embedder("clap").weights_hash != (
        find_embedder(f"clap={micro_model_folder}").weights_hash
    )
