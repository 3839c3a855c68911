"""Shards → windows: laws of cutting, an oracle for every field, and going on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from folders import sound
from latentfoley.audio import normalise_peak
from latentfoley.clap_audio import AudioTower
from latentfoley.data.encoder import Encoder, Source
from latentfoley.data.latents import LatentCache, read_info
from latentfoley.data.prepare import prepare
from latentfoley.data.shards import read_shard
from latentfoley.errors import InputError, ModelError, RecipeError
from latentfoley.mel import SILENCE, log_mel
from latents import encode
from signals import chirp, noise, tone

WINDOW_S = 0.4


@pytest.fixture(scope="module")
def encoder(micro_model_folder):
    return Encoder.load(Source(str(micro_model_folder), WINDOW_S, "cpu"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Ten clips in four shards: shorter and longer than a window, and one with a silent half."""
    folder, out = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("shards")
    for k in range(8):
        sound(folder / f"{k}.wav", noise(0.2 + k / 10, seed=k))
    sound(folder / "8.wav", np.concatenate([tone(duration_s=0.4), np.zeros(8000)]))
    sound(folder / "9.wav", chirp(duration_s=1.5))
    (folder / "2.txt").write_text("caption of 2")
    prepare(folder, out, workers=1, recordings_per_shard=3, held_out=0.3)
    return out


@pytest.fixture(scope="module")
def latents(shards, micro_model_folder, tmp_path_factory):
    """The same, encoded without interruption."""
    out = tmp_path_factory.mktemp("latents")
    encode(shards, out, model=str(micro_model_folder), duration_s=WINDOW_S, device="cpu")
    return out


def contents(out):
    """Return every file under a folder, with its bytes."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


class TestWindows:
    @settings(max_examples=40, deadline=None)
    @given(n_samples=st.integers(1, 30_000))
    def test_they_cover_the_clip_in_order(self, encoder, n_samples):
        waveform = np.random.default_rng(0).uniform(0.1, 0.5, n_samples).astype(np.float32)
        windows = list(encoder.windows(waveform))
        assert len(windows) == max(1, -(-n_samples // encoder.n_samples))
        covered = np.zeros(n_samples, bool)
        for start_s, window in windows:
            start = round(start_s * 16_000)
            covered[start : start + encoder.n_samples] = True
            stretch = waveform[start : start + encoder.n_samples]
            assert len(window) == encoder.n_samples
            np.testing.assert_array_equal(window[: len(stretch)], normalise_peak(stretch))
            assert not window[len(stretch) :].any()
        assert covered.all()

    def test_silent_ones_are_left_out(self, encoder):
        half = np.concatenate([tone(duration_s=0.4), np.zeros(16_000, np.float32)])
        assert len(list(encoder.windows(half))) == 1
        assert list(encoder.windows(np.zeros(16_000, np.float32))) == []


class TestFields:
    def test_of_each_window_alone(self, encoder, micro_model_folder):
        """As the model's own parts have them, one by one, to the precision of fp16."""
        waveforms = np.stack([window for _, window in encoder.windows(chirp(duration_s=1.5))])
        fields = encoder.encode(waveforms)
        tower = AudioTower.load(micro_model_folder)
        for k, waveform in enumerate(waveforms):
            X = log_mel(torch.from_numpy(waveform)[None], encoder.mel)
            with torch.no_grad():
                mean, logvar = encoder.vae.posterior(X)
            expected = {
                "log_mel": X[0, 0],
                "mean": mean[0],
                "std": torch.exp(logvar[0] / 2),
                "E": tower.embed(waveform, 16_000),
            }
            for name, field in expected.items():
                assert fields[name].dtype == torch.float16
                torch.testing.assert_close(fields[name][k].float(), field, rtol=2e-3, atol=2e-3)

    def test_a_short_clip_stands_in_silence(self, encoder):
        ((_, window),) = encoder.windows(tone(duration_s=0.1))
        picture = encoder.encode(window[None])["log_mel"][0]
        assert (picture[-10:] == torch.tensor(SILENCE).half()).all()
        assert picture[:5].max() > -3

    def test_frames_are_what_the_vae_divides(self, micro_model_folder):
        model = str(micro_model_folder)
        for duration_s, n_frames in ((0.01, 4), (5.12, 512)):
            assert Encoder.load(Source(model, duration_s, "cpu")).n_frames == n_frames

    def test_parts_stand_in_for_a_model(self, micro_model_folder, encoder):
        apart = Source("no model", WINDOW_S, "cpu", vae=micro_model_folder, clap=micro_model_folder)
        assert Encoder.load(apart).identity == encoder.identity
        with pytest.raises(InputError, match="vae and clap stand in for a model together"):
            Encoder.load(apart._replace(clap=None))


class TestCache:
    def test_what_is_in_it(self, latents, shards):
        info = read_info(latents)
        assert (info.n_clips, info.n_silent) == (10, 2)
        assert info.n_windows == len(LatentCache(latents))
        held_out = len(LatentCache(latents, "valid"))
        assert held_out == info.n_held_out > 0
        assert held_out + len(LatentCache(latents, "train")) == info.n_windows

    def test_windows_at_random_are_windows_in_order(self, latents, shards, encoder):
        cache = LatentCache(latents)
        expected = [
            (clip, window)
            for shard in sorted(shards.glob("*.tar"))
            for clip, waveform in read_shard(shard)
            for window in encoder.windows(waveform)
        ]
        assert len(cache) == len(expected)
        for item in np.random.default_rng(0).permutation(len(cache))[:8]:
            clip, window = expected[item]
            alone, stored = encoder.encode(window.waveform[None]), cache[item]
            assert cache.key(item) == clip.key
            assert stored["start_s"].item() == pytest.approx(clip.start_s + window.start_s)
            assert bool(stored["held_out"]) == (clip.split == "valid")
            for name, field in alone.items():
                torch.testing.assert_close(stored[name], field[0], rtol=2e-3, atol=2e-3)

    def test_a_batch_is_its_windows(self, latents):
        cache = LatentCache(latents, "train")
        items = [5, 0, len(cache) - 1, 5]
        batch = cache.batch(items)
        assert list(batch) == ["mean", "std", "E"]
        for row, item in enumerate(items):
            for name, field in batch.items():
                assert torch.equal(field[row], cache[item][name])

    def test_a_split_holds_only_its_own(self, latents):
        for split, held_out in (("train", 0), ("valid", 1)):
            cache = LatentCache(latents, split)
            every = cache.batch(range(len(cache)), ["held_out"])["held_out"]
            assert (every == held_out).all()

    def test_what_was_said_of_a_clip_goes_with_its_windows(self, shards, latents):
        cache = LatentCache(latents)
        said = {cache.key(item): cache.captions(item) for item in range(len(cache))}
        for clip, _ in (pair for path in sorted(shards.glob("*.tar")) for pair in read_shard(path)):
            assert said[clip.key] == (("caption of 2",) if clip.path == "2.wav" else ())

    def test_an_unknown_field(self, latents):
        with pytest.raises(RecipeError, match=r"has no 'maen'; .*Did you mean 'mean'"):
            LatentCache(latents).batch([0], ["maen"])

    @pytest.mark.parametrize("text", [None, "{", '{"settings": 1}'])
    def test_what_is_no_cache(self, tmp_path, text):
        if text is not None:
            (tmp_path / "cache.json").write_text(text)
        with pytest.raises(RecipeError, match=r"cache\.json"):
            LatentCache(tmp_path)

    def test_a_damaged_file(self, latents, tmp_path):
        shutil.copytree(latents, tmp_path / "latents")
        (tmp_path / "latents" / "latents-000001-000.safetensors").write_bytes(b"xxxxxxxxxxxx")
        with pytest.raises(RecipeError, match=r"000001-000.safetensors is damaged"):
            LatentCache(tmp_path / "latents")


@pytest.fixture
def another_model(micro_model_folder, tmp_path):
    """Return a function that copies the model with some of its weights changed."""

    def another_model(file, prefix):
        folder = tmp_path / "another"
        shutil.copytree(micro_model_folder, folder)
        weights = load_file(folder / file)
        assert any(key.startswith(prefix) for key in weights)
        changed = {k: w + 0.01 if k.startswith(prefix) else w for k, w in weights.items()}
        save_file(changed, folder / file, metadata={"format": "pt"})
        return str(folder)

    return another_model


VAE, UNET = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("vae", "unet"))


class TestStale:
    @pytest.mark.parametrize(
        ("file", "prefix", "part"),
        [
            (VAE, "encoder.conv_in", "vae"),
            (VAE, "quant_conv", "vae"),
            ("audio_encoder/model.safetensors", "audio_projection", "clap"),
        ],
    )
    def test_what_another_encoder_made_is_refused(
        self, latents, shards, another_model, file, prefix, part
    ):
        model = another_model(file, prefix)
        other = Encoder.load(Source(model, WINDOW_S, "cpu"))
        with pytest.raises(RecipeError, match=f"is stale: {part} was .*, now "):
            LatentCache(latents, encoder=other)
        with pytest.raises(InputError, match=f"with other settings: {part} was "):
            encode(shards, latents, model=model, duration_s=WINDOW_S, device="cpu")

    def test_one_place_has_many_names(self, latents, shards, micro_model_folder, monkeypatch):
        monkeypatch.chdir(shards.parent)
        before = contents(latents)
        for name in (Path(shards.name), Path(shards.name) / ".." / shards.name):
            encode(name, latents, model=str(micro_model_folder), duration_s=WINDOW_S, device="cpu")
        encode(shards, latents, model=str(micro_model_folder), duration_s=WINDOW_S, device="cpu")
        after = contents(latents)
        assert {n: b for n, b in after.items() if n != "cache.json"} == {
            n: b for n, b in before.items() if n != "cache.json"
        }

    @pytest.mark.parametrize(
        ("file", "prefix"), [(VAE, "decoder"), (VAE, "post_quant_conv"), (UNET, "conv_in")]
    )
    def test_what_does_not_encode_does_not_matter(self, latents, another_model, file, prefix):
        other = Encoder.load(Source(another_model(file, prefix), WINDOW_S, "cpu"))
        assert len(LatentCache(latents, encoder=other))

    def test_other_front_ends_and_lengths(self, latents, another_model):
        folder = another_model(UNET, "conv_in")
        for file, name, value, part in (
            ("latentfoley.json", "mel", {"f_max_hz": 7000.0}, "mel"),
            ("feature_extractor/preprocessor_config.json", "frequency_min", 60.0, "front_end"),
        ):
            path = latents.__class__(folder) / file
            before = path.read_text()
            path.write_text(json.dumps(json.loads(before) | {name: value}))
            with pytest.raises(RecipeError, match=f"is stale: {part} was "):
                LatentCache(latents, encoder=Encoder.load(Source(folder, WINDOW_S, "cpu")))
            path.write_text(before)
        with pytest.raises(RecipeError, match="is stale: n_frames was 40, now 80"):
            LatentCache(latents, encoder=Encoder.load(Source(folder, 0.8, "cpu")))


class TestGoingOn:
    @pytest.mark.slow
    def test_after_a_kill(self, shards, latents, micro_model_folder, tmp_path):
        out = tmp_path / "out"
        words = ["data", "encode", shards, out, "--model", micro_model_folder]
        kill_when(out, 1, [*words, "--duration", WINDOW_S, "--device", "cpu"])
        done = {path: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}
        encode(shards, out, model=str(micro_model_folder), duration_s=WINDOW_S, device="cpu")
        assert contents(out) == contents(latents)
        kept = sum(path.stat().st_mtime_ns == before for path, before in done.items())
        assert kept >= 1

    @pytest.mark.slow
    def test_it_does_not_depend_on_the_processes(
        self, shards, latents, micro_model_folder, tmp_path
    ):
        model = str(micro_model_folder)
        encode(shards, tmp_path, model=model, duration_s=WINDOW_S, device="cpu", workers=2)
        assert contents(tmp_path) == contents(latents)

    def test_recordings_that_are_changed_or_gone(self, micro_model_folder, tmp_path):
        def again():
            prepare(tmp_path / "in", tmp_path / "shards", workers=1, recordings_per_shard=1)
            options = {"model": str(micro_model_folder), "duration_s": WINDOW_S, "device": "cpu"}
            return encode(tmp_path / "shards", tmp_path / "out", **options)

        for k in range(3):
            sound(tmp_path / f"in/{k}.wav", noise(0.3, seed=k))
        again()
        files = [tmp_path / f"out/latents-00000{k}-000.safetensors" for k in range(2)]
        first, second = (path.stat().st_mtime_ns for path in files)
        sound(tmp_path / "in/1.wav", noise(0.4, seed=9))
        (tmp_path / "in/2.wav").unlink()
        assert again().n_clips == 2
        assert files[0].stat().st_mtime_ns == first
        assert files[1].stat().st_mtime_ns > second
        assert not list((tmp_path / "out").rglob("*000002*"))


def kill_when(out, n_done, words):
    """Start a command and kill it with SIGKILL as soon as `n_done` shards are done."""
    slowly = (
        "import time, latentfoley.data.encoder as e\n"
        "encode = e.Encoder.encode\n"
        "e.Encoder.encode = lambda *w: (time.sleep(0.1), encode(*w))[1]\n"
    )
    program = slowly + "from latentfoley.cli import main\nmain()\n"
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, words)])
    deadline = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < deadline:
        marked = (out / "cache.json").exists()
        if marked and len(list(out.glob("records/shard-*.json"))) >= n_done:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL


class TestPlaces:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"duration_s": 0}, "windows of 0 s; allowed: more than 0, at most 120"),
            ({"duration_s": float("nan")}, "windows of nan s"),
            ({"batch_size": 0}, "a batch of 0 windows; allowed: 1 to 4096"),
            ({"vae": Path("vae")}, "vae and clap stand in for a model together"),
            ({"workers": 0}, "0 workers; allowed"),
        ],
    )
    def test_options(self, shards, micro_model_folder, tmp_path, options, says):
        options = {"model": str(micro_model_folder), "duration_s": WINDOW_S} | options
        with pytest.raises(InputError, match=says):
            encode(shards, tmp_path / "out", **options, device="cpu")
        assert not (tmp_path / "out").exists()

    def test_another_rate(self, micro_model_folder, tmp_path):
        sound(tmp_path / "in/a.wav")
        prepare(tmp_path / "in", tmp_path / "shards", workers=1, sample_rate=8000)
        with pytest.raises(InputError, match=r"is at 8000 Hz, the model takes 16000 Hz; .*--rate"):
            encode(tmp_path / "shards", tmp_path / "out", model=str(micro_model_folder))

    def test_no_data_set(self, tmp_path, micro_model_folder):
        (tmp_path / "shards").mkdir()
        with pytest.raises(RecipeError, match=r"holds no dataset.json: .*Nearest there: shards"):
            encode(tmp_path / "shard", tmp_path / "out", model=str(micro_model_folder))

    def test_a_model_without_an_audio_tower(self, shards, another_model, tmp_path):
        folder = another_model(UNET, "conv_in")
        shutil.rmtree(folder + "/audio_encoder")
        with pytest.raises(ModelError, match="has no CLAP audio tower"):
            encode(shards, tmp_path / "out", model=folder)

    def test_a_damaged_shard(self, shards, micro_model_folder, tmp_path):
        shutil.copytree(shards, tmp_path / "shards")
        (tmp_path / "shards/shard-000001.tar").write_bytes(b"hello")
        options = {"model": str(micro_model_folder), "duration_s": WINDOW_S, "device": "cpu"}
        with pytest.raises(RecipeError, match=r"shard-000001.tar' is damaged: its bytes are"):
            encode(tmp_path / "shards", tmp_path / "out", **options)
        with pytest.raises(RecipeError, match="is not finished: run the same"):
            read_info(tmp_path / "out")
