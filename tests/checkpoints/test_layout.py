"""Models on disk: what is written is read, and diffusers reads it as the same function."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from latentfoley.checkpoints import compat, layout
from latentfoley.checkpoints.tensors import as_half
from latentfoley.config import ClapFrontEnd, MelConfig, ScheduleConfig, UnetConfig
from latentfoley.errors import ModelError
from latentfoley.model import latent_shape
from latentfoley.sampling import clip_generator
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from micro import UNET, VAE, VOCODER
from weights import randomise


def read_unet(folder):
    return layout.open_unet(folder).fill(Unet)


PARTS = {
    "vae": (Vae, VAE, layout.write_vae, layout.read_vae, layout.DIFFUSERS_WEIGHTS),
    "unet": (Unet, UNET, layout.write_unet, read_unet, layout.DIFFUSERS_WEIGHTS),
    "vocoder": (
        Vocoder,
        VOCODER,
        layout.write_vocoder,
        layout.read_vocoder,
        layout.TRANSFORMERS_WEIGHTS,
    ),
}


@pytest.fixture(params=PARTS)
def part(request, tmp_path):
    """A written component: (module, reader, folder, weight file)."""
    kind, config, write, read, file = PARTS[request.param]
    module = randomise(kind(config))
    write(tmp_path / request.param, config, module.state_dict())
    return module, read, tmp_path / request.param, tmp_path / request.param / file


def change(file, **changes):
    """Edit a JSON file; None removes a key."""
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


def rewrite(file, edit):
    """Edit the tensors of a weight file."""
    save_file(edit(load_file(file)), file, metadata={"format": "pt"})


class TestRoundTrip:
    def test_of_every_component(self, part):
        module, read, folder, _ = part
        again = read(folder)
        assert again.config == module.config
        assert not again.training
        for key, tensor in module.state_dict().items():
            assert torch.equal(again.state_dict()[key], tensor), key

    def test_in_half_precision_comes_back_as_fp32(self, part):
        module, read, folder, file = part
        size = file.stat().st_size
        rewrite(file, as_half)
        assert file.stat().st_size < 0.7 * size
        again = read(folder)
        assert {p.dtype for p in again.parameters()} == {torch.float32}
        for ours, theirs in zip(again.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)

    def test_of_the_schedule(self, tmp_path):
        config = ScheduleConfig(n_train_steps=500, beta_start=0.001, beta_end=0.02)
        layout.write_schedule(tmp_path, config)
        assert layout.read_schedule(tmp_path) == config

    def test_of_the_front_ends(self, tmp_path):
        front_end = ClapFrontEnd(
            sample_rate=16_000, window_s=5.0, n_mels=32, resampler="sinc-hann-6"
        )
        layout.write_front_end(tmp_path, front_end)
        assert layout.read_front_end(tmp_path) == front_end
        mel = MelConfig(framing="inference", n_mels=32)
        layout.write_description(tmp_path, layout.Description(mel=mel, phase_iterations=3))
        assert layout.read_description(tmp_path) == layout.Description(mel=mel, phase_iterations=3)

    def test_a_published_folder_has_the_published_front_end(self, tmp_path):
        assert layout.read_description(tmp_path) == layout.Description()

    def test_our_front_end_is_a_feature_extractor(self, tmp_path):
        from transformers import ClapFeatureExtractor

        layout.write_front_end(tmp_path, ClapFrontEnd())
        extractor = ClapFeatureExtractor.from_pretrained(tmp_path)
        assert (extractor.frequency_min, extractor.truncation) == (50, "rand_trunc")


class TestFaults:
    def test_a_missing_tensor_is_named(self, part):
        _, read, folder, file = part
        rewrite(file, lambda weights: dict(list(weights.items())[1:]))
        with pytest.raises(
            ModelError, match=r"does not fit its config\.json, 1 faults:\n  missing: "
        ):
            read(folder)

    def test_an_unexpected_tensor_is_named_with_its_nearest(self, part):
        module, read, folder, file = part
        key = next(k for k in module.state_dict() if k.endswith("conv_out.weight") or "post" in k)
        rewrite(file, lambda weights: {k.replace(key, key + "s"): v for k, v in weights.items()})
        message = f"2 faults:\n  missing: {key}\n  unexpected: {key}s. Did you mean '{key}'"
        with pytest.raises(ModelError, match=message):
            read(folder)

    def test_a_tensor_of_another_shape(self, part):
        _, read, folder, file = part
        rewrite(file, lambda weights: {k: v[:1].contiguous() for k, v in weights.items()})
        with pytest.raises(ModelError, match=r"shape of .*: \(1,.*\), expected \("):
            read(folder)

    def test_only_ten_faults_are_listed(self, part):
        module, read, folder, file = part
        rewrite(file, lambda weights: {})
        with pytest.raises(ModelError) as error:
            read(folder)
        assert f"{len(list(module.parameters()))} faults" in str(error.value)
        assert len(str(error.value).splitlines()) == 11

    @pytest.mark.parametrize("kept", [0, 7, 100, -1])
    def test_a_truncated_file(self, part, kept):
        _, read, folder, file = part
        file.write_bytes(file.read_bytes()[:kept])
        with pytest.raises(ModelError, match="is damaged or not a safetensors file"):
            read(folder)

    def test_a_pickle_is_not_read(self, part, tmp_path):
        _, read, folder, file = part
        torch.save({"conv_in.weight": torch.zeros(1)}, file)
        with pytest.raises(ModelError, match="is damaged or not a safetensors file"):
            read(folder)

    @pytest.mark.parametrize("name", ["config.json", "*.safetensors"])
    def test_a_missing_file(self, part, name):
        _, read, folder, _ = part
        next(folder.glob(name)).unlink()
        with pytest.raises(ModelError, match=r"is missing: .* is not a complete model folder"):
            read(folder)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "is not valid JSON"),
            ("[1]", "is not a JSON object but a list"),
            ("\xff", "is not valid JSON"),
            ("{}", "config.json has no '"),
        ],
    )
    def test_a_config_that_is_none(self, part, text, message):
        _, read, folder, _ = part
        (folder / "config.json").write_text(text, encoding="latin-1")
        with pytest.raises(ModelError, match=message):
            read(folder)

    @pytest.mark.parametrize(
        ("name", "changes", "message"),
        [
            ("vae", {"latent_channels": "eight"}, "latent_channels: .*got 'eight'"),
            ("vae", {"norm_num_groups": 3}, "channels do not divide into 3 norm_groups"),
            ("vae", {"scaling_factor": None}, "has no 'scaling_factor'"),
            ("unet", {"attention_head_dim": [1, 2]}, "must have one entry per level"),
            ("vocoder", {"upsample_rates": "fast"}, "upsample_rates: "),
        ],
    )
    def test_a_config_that_does_not_hold_together(self, tmp_path, name, changes, message):
        kind, config, write, read, _ = PARTS[name]
        write(tmp_path, config, kind(config).state_dict())
        change(tmp_path / "config.json", **changes)
        with pytest.raises(ModelError, match=message):
            read(tmp_path)

    @pytest.mark.parametrize(
        ("name", "changes", "message"),
        [
            ("unet", {"_class_name": "Transformer2DModel"}, "_class_name is 'Transformer2DModel'"),
            ("unet", {"act_fn": "gelu"}, "act_fn is 'gelu', only 'silu' is supported"),
            ("unet", {"class_embeddings_concat": False}, "only True is supported"),
            ("unet", {"down_block_types": ["DownBlock2D"]}, "down_block_types is"),
            ("vae", {"_class_name": "os.system"}, "only 'AutoencoderKL' is supported"),
            ("vae", {"in_channels": 3}, "in_channels is 3, only 1 is supported"),
            ("vocoder", {"architectures": ["Bigvgan"]}, "only .'SpeechT5HifiGan'. is supported"),
            ("vocoder", {"normalize_before": True}, "normalize_before is True, only False"),
        ],
    )
    def test_a_class_or_setting_that_is_not_ours(self, tmp_path, name, changes, message):
        kind, config, write, read, _ = PARTS[name]
        write(tmp_path, config, kind(config).state_dict())
        change(tmp_path / "config.json", **changes)
        with pytest.raises(ModelError, match=message):
            read(tmp_path)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"_class_name": "StableDiffusionPipeline"}, "only 'AudioLDMPipeline' is supported"),
            ({"text_encoder": ["transformers", "CLIPTextModel"]}, "only 'ClapTextModelWithProj"),
        ],
    )
    def test_a_pipeline_of_another_kind(self, micro_model_folder, tmp_path, changes, message):
        shutil.copy(micro_model_folder / "model_index.json", tmp_path)
        change(tmp_path / "model_index.json", **changes)
        with pytest.raises(ModelError, match=message):
            layout.require_classes(tmp_path)

    @pytest.mark.parametrize(
        "change_header",
        [
            lambda entry: entry | {"data_offsets": [0, 10**12]},
            lambda entry: entry | {"shape": [10**6, 10**6]},
            lambda entry: entry | {"dtype": "F99"},
            lambda entry: {},
        ],
    )
    def test_a_header_that_lies(self, part, change_header):
        _, read, folder, file = part
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        name = max(header, key=lambda key: header[key].get("data_offsets", [0])[0])
        text = json.dumps(header | {name: change_header(header[name])}).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        with pytest.raises(ModelError, match="is damaged or not a safetensors file"):
            read(folder)

    @pytest.mark.parametrize("length", [0, 2**40, 2**63])
    def test_a_header_of_a_length_that_lies(self, part, length):
        _, read, folder, file = part
        file.write_bytes(length.to_bytes(8, "little") + file.read_bytes()[8:])
        with pytest.raises(ModelError, match="is damaged or not a safetensors file"):
            read(folder)

    @pytest.mark.parametrize(
        "changes", [{"beta_schedule": "linear"}, {"prediction_type": "sample"}]
    )
    def test_a_schedule_of_another_kind(self, tmp_path, changes):
        layout.write_schedule(tmp_path, ScheduleConfig())
        change(tmp_path / "scheduler_config.json", **changes)
        with pytest.raises(ModelError, match=r"only 'scaled_linear'|'epsilon' or 'v_prediction'"):
            layout.read_schedule(tmp_path)


class TestPublishedFiles:
    @pytest.mark.parametrize(
        ("written", "read"), [(8, (1, 2, 3)), (4, (4, 4, 4)), ([2, 4, 8], (2, 4, 8))]
    )
    def test_eight_heads_are_read_as_those_that_were_trained(self, tmp_path, written, read):
        config = UnetConfig(
            latent_channels=4, block_channels=(32, 64, 96), layers_per_block=1, heads=(1, 1, 1)
        )
        layout.write_unet(tmp_path, config, Unet(config).state_dict())
        change(tmp_path / "config.json", attention_head_dim=written)
        assert layout.open_unet(tmp_path).config.heads == read

    @pytest.mark.parametrize(
        ("widths", "heads"),
        [
            ([128, 256, 384, 640], [4, 8, 12, 20]),
            ([192, 384, 576, 960], [6, 12, 18, 30]),
            ([256, 512, 768, 1280], [4, 8, 12, 20]),
        ],
    )
    def test_heads_of_the_published_sizes(self, widths, heads):
        assert compat.heads(8, widths, "trained").value == heads

    def test_the_old_names_of_the_vae_attention(self, tmp_path):
        vae = randomise(Vae(VAE))
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

        def rename(key):
            for new, name in old.items():
                key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
            return key

        weights = {rename(key): tensor for key, tensor in vae.state_dict().items()}
        assert sum("query" in key for key in weights) == 4
        layout.write_vae(tmp_path, VAE, weights)
        again = layout.read_vae(tmp_path).state_dict()
        assert all(torch.equal(again[key], tensor) for key, tensor in vae.state_dict().items())


class TestDiffusers:
    """A folder of ours in diffusers' own pipeline: the same function, the same audio."""

    @pytest.fixture(scope="class")
    def pipeline(self, micro_model_folder):
        from diffusers import AudioLDMPipeline

        pipeline = AudioLDMPipeline.from_pretrained(micro_model_folder)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def test_it_loads_every_part(self, pipeline):
        assert pipeline.unet.config.attention_head_dim == list(UNET.heads)
        assert pipeline.vae.config.scaling_factor == VAE.scaling_factor
        assert pipeline.scheduler.config.steps_offset == 1

    def test_it_embeds_texts_as_we_do(self, pipeline, micro_model):
        theirs = pipeline._encode_prompt("a dog barking", "cpu", 1, True, "rain")
        ours = micro_model.text.embed(["rain", "a dog barking"])
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(("steps", "guidance"), [(5, 2.5), (4, 1.0)])
    def test_it_makes_the_same_audio(self, pipeline, micro_model, steps, guidance):
        n_samples = 6400
        shape = latent_shape(n_samples, micro_model.config)
        latents = torch.randn(shape, generator=clip_generator(7, 0, 0))[None]
        E, E_empty = micro_model.text.embed(["rain", ""]).split(1)
        theirs = pipeline(
            audio_length_in_s=n_samples / 16_000,
            num_inference_steps=steps,
            guidance_scale=guidance,
            prompt_embeds=E,
            negative_prompt_embeds=E_empty,
            latents=latents,
        ).audios[0]
        (ours,) = micro_model.generate(
            "rain", duration_s=0.4, steps=steps, guidance=guidance, sampler="ddim", seed=7
        )
        assert ours.waveform.std() > 0.01
        np.testing.assert_allclose(ours.waveform, theirs, rtol=0, atol=1e-5)
