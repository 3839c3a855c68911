"""Text and sound → E: transformers' feature extractor as oracle, then laws of the towers."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfoley.clap import TextTower
from latentfoley.clap_audio import AudioTower, audio_features, cut_windows
from latentfoley.config import ClapFrontEnd
from latentfoley.errors import ModelError, PromptWarning
from latentfoley.resampling import RESAMPLERS
from micro import EMBEDDING_DIM, FRONT_END, MAX_TOKENS
from signals import chirp, noise, tone

PUBLISHED = ClapFrontEnd()


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a, b, dim=-1).min())


class TestFeatures:
    @pytest.mark.parametrize("padding", ["repeatpad", "repeat"])
    @pytest.mark.parametrize("duration_s", [0.5, 3.0, 7.3, 10.0])
    def test_transformers_extracts_the_same(self, duration_s, padding):
        from transformers import ClapFeatureExtractor

        extractor = ClapFeatureExtractor(
            feature_size=64,
            sampling_rate=48_000,
            hop_length=480,
            fft_window_size=1024,
            frequency_min=50,
            frequency_max=14_000,
            max_length_s=10,
            padding=padding,
            truncation="rand_trunc",
            top_db=None,
        )
        waveform = chirp(60, 14_000, duration_s, 48_000) + noise(duration_s, 48_000, 0.01)
        theirs = extractor(waveform, sampling_rate=48_000, return_tensors="pt")["input_features"]
        windows = cut_windows(torch.from_numpy(waveform), PUBLISHED.n_samples, padding)
        ours = audio_features(windows, PUBLISHED)
        assert ours.shape == theirs.shape == (1, 1, 1001, 64)
        # 10⁻³ dB; more only where power nearly vanishes, next to the padded zeros.
        difference = (ours - theirs).abs()
        assert difference[theirs > -60].max() < 2e-3
        assert difference.max() < 0.2

    def test_silence_is_minus_100_db(self):
        features = audio_features(torch.zeros(1, FRONT_END.n_samples), FRONT_END)
        torch.testing.assert_close(features, torch.full_like(features, -100.0))

    def test_ten_times_the_amplitude_is_20_db(self):
        soft = torch.from_numpy(noise(1.0, amplitude=0.05))[None]
        difference = audio_features(10 * soft, FRONT_END) - audio_features(soft, FRONT_END)
        torch.testing.assert_close(difference, torch.full_like(difference, 20), rtol=0, atol=1e-3)


class TestWindows:
    @settings(max_examples=100, deadline=None)
    @given(length=st.integers(1, 500), n_samples=st.integers(1, 100))
    def test_together_they_hold_every_sample_and_nothing_else(self, length, n_samples):
        sound = torch.arange(1.0, length + 1)
        windows = cut_windows(sound, n_samples)
        assert windows.shape == (max(1, -(-length // n_samples)), n_samples)
        heard = set(windows.flatten().tolist())
        assert heard - {0.0} == set(sound.tolist())
        assert (0.0 in heard) == (length < n_samples and n_samples % length > 0)

    def test_a_short_sound_is_repeated_whole(self):
        windows = cut_windows(torch.tensor([1.0, 2.0, 3.0]), 8)
        assert windows.tolist() == [[1, 2, 3, 1, 2, 3, 0, 0]]

    def test_or_repeated_to_the_end(self):
        windows = cut_windows(torch.tensor([1.0, 2.0, 3.0]), 8, "repeat")
        assert windows.tolist() == [[1, 2, 3, 1, 2, 3, 1, 2]]

    def test_a_tower_fills_windows_as_its_front_end_says(self):
        whole, silent = (
            AudioTower(torch.nn.Identity(), FRONT_END.model_copy(update={"padding": padding}))
            for padding in ("repeat", "repeatpad")
        )
        sound = noise(0.6 * FRONT_END.window_s, FRONT_END.sample_rate)
        assert (whole.windows(sound)[0, len(sound) :] != 0).all()
        assert (silent.windows(sound)[0, len(sound) :] == 0).all()

    def test_the_last_window_ends_where_the_sound_ends(self):
        assert cut_windows(torch.arange(7.0), 3).tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]

    def test_a_sound_of_two_windows_is_two(self):
        assert cut_windows(torch.arange(6.0), 3).tolist() == [[0, 1, 2], [3, 4, 5]]


class TestTextTower:
    @pytest.fixture(scope="class")
    def tower(self, micro_model_folder):
        return TextTower.load(micro_model_folder)

    def test_embeddings_are_unit_vectors(self, tower):
        E = tower.embed(["", "a dog barking", "rain", "雨 🐕", "a " * 500])
        assert E.shape == (5, EMBEDDING_DIM)
        torch.testing.assert_close(E.norm(dim=1), torch.ones(5))

    def test_texts_do_not_know_their_neighbours(self, tower):
        texts = ["rain", "a dog barking by the sea", "", "the clock"]
        alone = torch.cat([tower.embed([text]) for text in texts])
        torch.testing.assert_close(tower.embed(texts), alone, rtol=1e-5, atol=1e-5)

    def test_many_texts_are_each_as_it_is_alone(self, tower):
        texts = [f"rain number {k}" for k in range(70)]
        for vectors in (tower.embed, tower.signatures):
            torch.testing.assert_close(vectors(texts)[-1], vectors(texts[-1:])[0])

    def test_different_texts_differ(self, tower):
        E = tower.embed(["rain", "a dog barking", ""])
        assert (E @ E.T - torch.eye(3)).max() < 0.99

    def test_what_is_too_long_is_said(self, tower):
        longest = "rain " * (MAX_TOKENS - 2)
        tower.warn_of_cuts([longest, "sea"])  # nothing to say: an error otherwise
        with pytest.warns(PromptWarning, match=rf"reads the first {MAX_TOKENS} tokens.*'rain rain"):
            tower.warn_of_cuts(["sea", longest + "sea"])

    def test_what_is_too_long_is_cut(self, tower):
        # Two of the tokens are the marks of beginning and end.
        longest = "rain " * (MAX_TOKENS - 2)
        torch.testing.assert_close(tower.embed([longest + "sea"]), tower.embed([longest]))
        assert cosine(tower.embed(["rain " * (MAX_TOKENS - 3)]), tower.embed([longest])) < 0.9999

    def test_it_is_transformers_normalised(self, tower, micro_model_folder):
        from transformers import AutoTokenizer, ClapTextModelWithProjection

        model = ClapTextModelWithProjection.from_pretrained(micro_model_folder / "text_encoder")
        tokenizer = AutoTokenizer.from_pretrained(micro_model_folder / "tokenizer")
        for texts in (["a dog"], ["", "雨 🐕", "Señor! a dog's bark", "rain " * 99]):
            tokens = tokenizer(
                texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            with torch.no_grad():
                theirs = model(tokens["input_ids"], tokens["attention_mask"])
                projected, first_tokens = tower._run(texts)
            assert torch.equal(projected, theirs.text_embeds)
            assert torch.equal(first_tokens, theirs.last_hidden_state[:, 0])


class TestAudioTower:
    @pytest.fixture(scope="class")
    def tower(self, micro_model_folder):
        return AudioTower.load(micro_model_folder)

    @pytest.mark.parametrize("n_samples", [160, 16_000, 16_001, 50_000])
    def test_embeddings_are_unit_vectors_of_any_length(self, tower, n_samples):
        E = tower.embed(noise(4.0)[:n_samples], 16_000)
        assert E.shape == (EMBEDDING_DIM,)
        torch.testing.assert_close(E.norm(), torch.tensor(1.0))

    def test_the_same_sound_gives_the_same_vector(self, tower):
        first, second = (tower.embed(noise(2.5), 16_000) for _ in range(2))
        assert torch.equal(first, second)

    def test_repeating_a_whole_window_changes_nothing(self, tower):
        once = tower.embed(noise(1.0), 16_000)
        torch.testing.assert_close(tower.embed(np.tile(noise(1.0), 3), 16_000), once)

    def test_other_rates_are_resampled(self, tower):
        E = tower.embed(tone(440, 1.0, 16_000), 16_000)
        assert cosine(tower.embed(tone(440, 1.0, 48_000), 48_000), E) > 0.999

    def test_different_sounds_differ(self, tower):
        assert cosine(tower.embed(tone(), 16_000), tower.embed(noise(), 16_000)) < 0.99

    def test_windows_do_not_know_their_neighbours(self, tower):
        windows = torch.stack([torch.from_numpy(noise(1.0, seed=s)) for s in range(3)])
        with torch.no_grad():
            alone = torch.cat([tower.embed_windows(window[None]) for window in windows])
            torch.testing.assert_close(tower.embed_windows(windows), alone, rtol=1e-5, atol=1e-5)

    def test_gradients_reach_the_sound(self, tower):
        windows = torch.from_numpy(noise(1.0))[None].requires_grad_()
        tower.embed_windows(windows)[0, 0].backward()
        assert windows.grad.abs().max() > 0


class TestFolders:
    @pytest.fixture
    def folder(self, micro_model_folder, tmp_path):
        return shutil.copytree(micro_model_folder, tmp_path / "model")

    @pytest.mark.parametrize("part", ["text_encoder", "tokenizer"])
    def test_without_a_part(self, folder, part):
        shutil.rmtree(folder / part)
        with pytest.raises(ModelError, match=f"{part} is missing: .* not a complete model folder"):
            TextTower.load(folder)

    def test_without_an_audio_tower(self, folder):
        shutil.rmtree(folder / "audio_encoder")
        with pytest.raises(ModelError, match=r"no CLAP audio tower .audio_encoder/.: guiding by"):
            AudioTower.load(folder)

    def test_with_damaged_weights(self, folder):
        weights = folder / "text_encoder" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
        with pytest.raises(ModelError, match=r"text_encoder/model\.safetensors is damaged"):
            TextTower.load(folder)

    def test_with_a_weight_missing(self, folder):
        from safetensors.torch import load_file, save_file

        file = folder / "text_encoder" / "model.safetensors"
        weights = load_file(file)
        del weights["text_projection.linear1.weight"]
        save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(
            ModelError, match=r"1 faults:\n  missing: text_projection\.linear1\.weight"
        ):
            TextTower.load(folder)

    def test_with_a_network_that_cannot_be(self, folder):
        file = folder / "text_encoder" / "config.json"
        values = json.loads(file.read_text())
        for changes, message in (
            ({"num_attention_heads": 5}, "a clap_text_model cannot be built"),
            ({"model_type": "clip_text_model"}, "only 'clap_text_model' is supported"),
        ):
            file.write_text(json.dumps(values | changes))
            with pytest.raises(ModelError, match=message):
                TextTower.load(folder)

    def test_with_the_ids_of_older_files_or_without(self, folder):
        from safetensors.torch import load_file, save_file

        E = TextTower.load(folder).embed(["rain"])
        file = folder / "text_encoder" / "model.safetensors"
        weights = {k: v for k, v in load_file(file).items() if not k.endswith("_ids")}
        save_file(weights, file, metadata={"format": "pt"})
        torch.testing.assert_close(TextTower.load(folder).embed(["rain"]), E)

    def test_with_half_precision(self, folder):
        from safetensors.torch import load_file, save_file

        from latentfoley.checkpoints.tensors import as_half

        E = TextTower.load(folder).embed(["rain"])
        file = folder / "text_encoder" / "model.safetensors"
        save_file(as_half(load_file(file)), file, metadata={"format": "pt"})
        tower = TextTower.load(folder)
        assert next(tower.model.parameters()).dtype == torch.float32
        assert cosine(tower.embed(["rain"]), E) > 0.999


@pytest.mark.parametrize(("name", "to_rate"), RESAMPLERS.items())
def test_a_tower_brings_sound_to_its_rate_as_its_front_end_says(micro_model, name, to_rate):
    front_end = FRONT_END.model_copy(update={"resampler": name})
    tower = AudioTower(micro_model.audio.model, front_end)
    sound = noise(0.5, 44_100)
    expected = tower.embed_all([to_rate(sound, 44_100, front_end.sample_rate)])[0]
    torch.testing.assert_close(tower.embed(sound, 44_100), expected, rtol=0, atol=0)
