"""A GPU makes what the CPU makes. Skipped where there is none, as in continuous integration."""

import numpy as np
import pytest
import soundfile
import torch

import latentfoley
from latentfoley.training.diffusion import DiffusionTask
from latentfoley.training.diffusion_recipe import DiffusionRecipe
from latentfoley.training.vae import VaeRecipe, VaeTask
from latentfoley.training.vocoder import VocoderRecipe, VocoderTask
from micro import UNET, VAE, VOCODER
from signals import chirp, noise
from tasks import run_recipe, unbroken_and_resumed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

EDITS = {
    "transfer": {},
    "vary": {},
    "inpaint": {"spans": [(0.3, 0.6)]},
    "extend": {"after_s": 0.5},
    "upsample": {"cutoff_hz": 3000},
    "loop": {},
}


@pytest.fixture(scope="module", autouse=True)
def whole_fp32():
    """Convolutions in fp32 as on a CPU, not rounded to TF32."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


@pytest.fixture(scope="module")
def on_gpu(micro_model_folder):
    return latentfoley.load(micro_model_folder, device="cuda")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "in.wav"
    soundfile.write(path, chirp(duration_s=1.2)[:19_200] + noise(1.2)[:19_200] / 10, 16_000)
    return path


def assert_alike(one, other):
    """Check that two sounds differ by less than a thousandth of their level."""
    assert one.shape == other.shape
    assert np.abs(one - other).mean() < 1e-3 * np.abs(other).mean()


class TestSounds:
    @pytest.mark.parametrize("sampler", ["ddim", "dpm++", "dpm++sde"])
    def test_a_generation(self, on_gpu, micro_model, sampler):
        options = {"steps": 4, "duration_s": 1.0, "sampler": sampler, "seed": 5}
        ours, theirs = (model.generate("rain", **options) for model in (on_gpu, micro_model))
        assert_alike(ours[0].waveform, theirs[0].waveform)

    @pytest.mark.parametrize("kind", EDITS)
    def test_an_edit(self, on_gpu, micro_model, recording, kind):
        options = {"steps": 4} | EDITS[kind]
        ours, theirs = (
            model.edit(kind, recording, "rain", **options) for model in (on_gpu, micro_model)
        )
        assert_alike(ours[0].waveform, theirs[0].waveform)

    @pytest.mark.parametrize("dtype", ["bf16", "fp16"])
    def test_half_precision_is_finite(self, micro_model_folder, dtype):
        model = latentfoley.load(micro_model_folder, device="cuda", dtype=dtype)
        (clip,) = model.generate("rain", steps=4, duration_s=12.0)
        assert np.isfinite(clip.waveform).all()
        assert len(clip.waveform) == 12 * 16_000


def recipes(kind, recordings, latents, model, folder):
    """Return a task's constructor and its recipe on micro networks."""
    data = {"manifest": recordings, "folder": recordings.parent}
    run = run_recipe(folder)
    if kind == "vae":
        values = {"run": run, "data": data, "model": VAE.model_dump(), "crop_frames": 32}
        return VaeTask, VaeRecipe.parse(values | {"discriminator_channels": 8}, where="test")
    if kind == "vocoder":
        values = {"run": run, "data": data, "model": VOCODER.model_dump(), "segment_frames": 8}
        return VocoderTask, VocoderRecipe.parse(
            values | {"discriminator_channels": 4}, where="test"
        )
    parts = dict.fromkeys(("vae", "clap", "vocoder"), str(model))
    values = {"run": run, "data": {"latents": latents}, "model": UNET.model_dump(), **parts}
    return DiffusionTask, DiffusionRecipe.parse(values, where="test")


@pytest.mark.parametrize("kind", ["vae", "vocoder", "diffusion"])
class TestTraining:
    @pytest.fixture
    def make(self, kind, recordings, latents, micro_model_folder, tmp_path):
        """Return a function from a device and a folder to a task."""

        def make(device, folder="run"):
            task, recipe = recipes(
                kind, recordings, latents, micro_model_folder, tmp_path / device / folder
            )
            return task(recipe, torch.device(device))

        return make

    def test_the_first_losses(self, make):
        ours, theirs = (make(device).step(0) for device in ("cuda", "cpu"))
        assert ours == pytest.approx(theirs, rel=1e-2)

    def test_it_goes_on_after_a_stop(self, make):
        unbroken, resumed = unbroken_and_resumed(
            lambda folder: make("cuda", folder), lambda folder: folder
        )
        # Sums on a GPU have no fixed order: not to the bit.
        assert resumed.step(5) == pytest.approx(unbroken.step(5), rel=1e-2)
