"""Whole models against diffusers in one process: the same files, the same audio to 1e-5.

The folder is like a published one: its UNet config says 8 heads everywhere, its text config an ε of
1e-12, and it has no file of ours. In compat "diffusers" the oracle is the pipeline as it loads; by
default it is the same pipeline told what the weights were trained with. Weights are sharpened so
that the difference shows (`weights.randomise`).
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import authors
import latentfoley
import micro
from latentfoley.checkpoints import layout
from latentfoley.checkpoints.kinds import DIFFUSERS_WEIGHTS, TRANSFORMERS_WEIGHTS
from latentfoley.checkpoints.parts import open_folder, write_folder
from latentfoley.config import ScheduleConfig, UnetConfig, VaeConfig, VocoderConfig
from latentfoley.loading import open_model
from latentfoley.model import latent_shape
from latentfoley.sampling import clip_generator
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from weights import normal, randomise, relative_error

UNET = UnetConfig(
    latent_channels=4,
    block_channels=(8, 16, 24, 40),
    heads=(1, 1, 1, 1),  # what 32 channels per head comes to
    embedding_dim=micro.EMBEDDING_DIM,
    norm_groups=8,
)
VAE = VaeConfig(
    latent_channels=4, block_channels=(8, 16, 24), norm_groups=8, scaling_factor=0.9227914214134216
)
VOCODER = VocoderConfig(channels=32)
PROMPTS = ["rain", "a dog barking by the sea", "the clock"]
WEIGHTS = {
    "unet": DIFFUSERS_WEIGHTS,
    "vae": DIFFUSERS_WEIGHTS,
    "vocoder": TRANSFORMERS_WEIGHTS,
    "text_encoder": TRANSFORMERS_WEIGHTS,
}

# frames of latent, clips, guidance, η, steps, negative prompt
CASES = [
    (13, 3, 2.5, 0.0, 5, "the sea"),
    (13, 3, 2.5, 1.0, 4, ""),
    (13, 3, 1.0, 1.0, 4, ""),
    (125, 1, 2.5, 1.0, 2, "noise"),
    (128, 1, 1.0, 0.0, 2, ""),
    (250, 1, 2.5, 0.0, 1, ""),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder as it could have been published, in miniature."""
    folder = tmp_path_factory.mktemp("published") / "audioldm-mini"
    layout.write_unet(folder / "unet", UNET, randomise(Unet(UNET), seed=1).state_dict())
    layout.write_vae(folder / "vae", VAE, randomise(Vae(VAE), seed=2).state_dict())
    vocoder = randomise(Vocoder(VOCODER), seed=3)
    layout.write_vocoder(folder / "vocoder", VOCODER, vocoder.state_dict())
    layout.write_schedule(folder / "scheduler", ScheduleConfig())
    micro.text_model().save_pretrained(folder / "text_encoder")
    micro.tokenizer().save_pretrained(folder / "tokenizer")
    layout.write_index(folder, "BertTokenizer")
    as_published(folder)
    return folder


def as_published(folder):
    """Write into the configs what the published ones say."""
    for part, changes in {
        "unet": {"attention_head_dim": 8},
        "text_encoder": {"layer_norm_eps": 1e-12},
    }.items():
        file = folder / part / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    (folder / "latentfoley.json").unlink(missing_ok=True)


def oracle(folder, mode):
    """diffusers' pipeline: as it loads, or told what the weights were trained with."""
    from diffusers import AudioLDMPipeline, UNet2DConditionModel
    from transformers import ClapTextModelWithProjection

    told = {}
    if mode == "trained":
        parts = open_folder(folder)
        told["unet"] = UNet2DConditionModel.from_pretrained(
            folder / "unet", attention_head_dim=parts.unet.config.heads
        )
        told["text_encoder"] = ClapTextModelWithProjection.from_pretrained(
            folder / "text_encoder", layer_norm_eps=parts.text.config["layer_norm_eps"]
        )
    pipeline = AudioLDMPipeline.from_pretrained(folder, **told)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module", params=["trained", "diffusers"])
def pair(request, published):
    """Our model and diffusers' pipeline of the same folder, in one of the two readings."""
    ours = latentfoley.load(published, compat=request.param, device="cpu")
    return ours, oracle(published, request.param)


def both(ours, pipeline, case):
    """The audio of both, from the same noise: (ours, theirs)."""
    frames, clips, guidance, eta, steps, negative = case
    shape = latent_shape(640 * frames, ours.config)
    generators = [clip_generator(7, k, 0) for k in range(clips)]
    latents = torch.stack([torch.randn(shape, generator=g) for g in generators])
    theirs = pipeline(
        PROMPTS[:clips],
        negative_prompt=[negative] * clips,
        audio_length_in_s=frames / 25,
        num_inference_steps=steps,
        guidance_scale=guidance,
        eta=eta,
        latents=latents,
        generator=generators,  # η > 0 goes on drawing where the latents left off
        output_type="pt",
    ).audios
    options = {"steps": steps, "guidance": guidance, "eta": eta, "seed": 7, "sampler": "ddim"}
    made = ours.generate(
        PROMPTS[:clips], negative_prompt=negative, duration_s=frames / 25, **options
    )
    return torch.stack([torch.from_numpy(clip.waveform) for clip in made]), theirs


class TestModules:
    @torch.no_grad()
    def test_the_text_embedding(self, pair):
        ours, pipeline = pair
        theirs = pipeline._encode_prompt(PROMPTS, "cpu", 1, True, ["the sea"] * 3)
        assert relative_error(ours.text.embed(["the sea"] * 3 + PROMPTS), theirs) < 1e-5

    @pytest.mark.parametrize("frames", [128, 125, 13])
    @torch.no_grad()
    def test_the_denoiser(self, pair, frames):
        ours, pipeline = pair
        z_n, n = normal(3, 4, frames, 16), torch.tensor([901.0, 401.0, 1.0])
        E = torch.nn.functional.normalize(normal(3, micro.EMBEDDING_DIM, seed=1), dim=1)
        theirs = pipeline.unet(z_n, n, encoder_hidden_states=None, class_labels=E).sample
        assert relative_error(ours.unet(z_n, n, E), theirs) < 1e-5

    @torch.no_grad()
    def test_the_first_stage(self, pair):
        ours, pipeline = pair
        X, z_0 = normal(3, 1, 52, 64), normal(3, 4, 13, 16)
        theirs = pipeline.vae.encode(X).latent_dist
        for mine, other in zip(ours.vae.posterior(X), (theirs.mean, theirs.logvar), strict=True):
            assert relative_error(mine, other) < 1e-5
        factor = pipeline.vae.config.scaling_factor
        assert relative_error(ours.vae.decode(z_0), pipeline.vae.decode(z_0 / factor).sample) < 1e-5

    @torch.no_grad()
    def test_the_vocoder(self, pair):
        ours, pipeline = pair
        X = normal(3, 1, 52, 64)
        theirs = pipeline.vocoder(X.squeeze(1))
        assert theirs.std() > 0.01
        assert relative_error(ours.vocoder(X), theirs) < 1e-5


class TestPipelines:
    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_the_same_audio(self, pair, case):
        ours, theirs = both(*pair, case)
        assert theirs.std() > 0.01
        assert relative_error(ours, theirs) < 2e-5  # the roundings of up to 250 steps add up

    def test_the_two_readings_differ(self, published):
        trained, other = (latentfoley.load(published, compat=c) for c in ("trained", "diffusers"))
        first, second = (
            torch.from_numpy(m.generate("rain", duration_s=0.52, steps=2)[0].waveform)
            for m in (trained, other)
        )
        assert relative_error(first, second) > 1e-3
        assert trained.config.unet.heads == (1, 1, 1, 1) and other.config.unet.heads == (8,) * 4


class TestSavedByOne:
    """… loaded by the other."""

    CASE = (13, 3, 2.5, 0.0, 3, "the sea")

    def test_what_diffusers_saves_we_load(self, pair, tmp_path):
        ours, pipeline = pair
        pipeline.save_pretrained(tmp_path / "saved")
        again = latentfoley.load(tmp_path / "saved", compat="diffusers", device="cpu")
        assert again.config.unet == ours.config.unet
        assert relative_error(*both(again, pipeline, self.CASE)) < 1e-5

    def test_older_weight_files(self, published, tmp_path):
        folder = shutil.copytree(published, tmp_path / "old")
        for part, file in WEIGHTS.items():
            weights = load_file(folder / part / file)
            (folder / part / file).unlink()
            torch.save(weights, folder / part / OLDER[file])
        pipeline = oracle(folder, "diffusers")
        ours = latentfoley.load(folder, compat="diffusers", device="cpu")
        assert relative_error(*both(ours, pipeline, self.CASE)) < 1e-5

    def test_older_names_and_buffers_left_out(self, published, tmp_path):
        """As the published files are: the VAE's attention by its former names, no type ids."""
        folder = shutil.copytree(published, tmp_path / "old")
        rewrite(folder / "vae" / DIFFUSERS_WEIGHTS, former_name)
        for part in ("text_encoder", "vocoder"):
            rewrite(folder / part / TRANSFORMERS_WEIGHTS, without_buffers)
        pipeline = oracle(folder, "diffusers")
        ours = latentfoley.load(folder, compat="diffusers", device="cpu")
        assert relative_error(*both(ours, pipeline, self.CASE)) < 1e-5

    @pytest.mark.parametrize("mode", ["trained", "diffusers"])
    def test_what_we_save_diffusers_loads(self, published, tmp_path, mode):
        write_folder(open_folder(published, mode), tmp_path / "out")
        pipeline = oracle(tmp_path / "out", "diffusers")
        ours = latentfoley.load(published, compat=mode, device="cpu")
        assert relative_error(*both(ours, pipeline, self.CASE)) < 1e-5
        for setting in ("trained", "diffusers"):  # it says level by level what it means
            again = latentfoley.load(tmp_path / "out", compat=setting, device="cpu")
            assert again.config.unet == ours.config.unet


OLDER = {
    DIFFUSERS_WEIGHTS: "diffusion_pytorch_model.bin",
    TRANSFORMERS_WEIGHTS: "pytorch_model.bin",
}
FORMER = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def rewrite(file, rename):
    weights = {rename(key): tensor for key, tensor in load_file(file).items() if rename(key)}
    save_file(weights, file, metadata={"format": "pt"})


def former_name(key):
    for new, former in FORMER.items():
        key = key.replace(new, former)
    return key


def without_buffers(key):
    return "" if key.endswith(("_ids", "mean", "scale")) else key


@pytest.mark.slow
class TestFullSize:
    """S from a random `.ckpt`: converted, loaded here and by diffusers, in both readings."""

    @pytest.fixture(scope="class")
    def folder(self, tokenizer, tmp_path_factory):
        place = tmp_path_factory.mktemp("S")
        state = authors.checkpoint(authors.published(), ema=False)
        torch.save({"state_dict": state}, place / "S.ckpt")
        del state
        write_folder(open_model(str(place / "S.ckpt"), tokenizer=tokenizer), place / "folder")
        (place / "S.ckpt").unlink()
        return place / "folder"

    @pytest.mark.parametrize("mode", ["trained", "diffusers"])
    def test_the_same_audio(self, folder, mode):
        if mode == "diffusers":
            as_published(folder)
        pipeline = oracle(folder, "diffusers")  # in the first case the folder says what is trained
        ours = latentfoley.load(folder, compat=mode, device="cpu")
        assert ours.config.unet.heads == ((4, 8, 12, 20) if mode == "trained" else (8,) * 4)
        assert sum(p.numel() for p in ours.unet.parameters()) == 185_036_552
        for case in ((13, 3, 2.5, 1.0, 2, "the sea"), (125, 1, 2.5, 0.0, 1, "")):
            made, theirs = both(ours, pipeline, case)
            assert theirs.std() > 0.01
            assert relative_error(made, theirs) < 1e-5
