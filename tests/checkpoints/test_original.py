"""The authors' files: strict both ways, the same bytes there and back, the same function."""

import os
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
import torch

import authors
import latentfoley
from latentfoley.checkpoints.export import schedule_buffers, write_original
from latentfoley.checkpoints.original import ema_name, open_audio, open_original, read_state
from latentfoley.checkpoints.parts import open_folder, write_folder
from latentfoley.clap_audio import AudioTower
from latentfoley.config import PUBLISHED_FRONT_END, ScheduleConfig
from latentfoley.diffusion import Schedule
from latentfoley.errors import InputError, ModelError
from latentfoley.loading import open_model
from signals import tone


def save(state, path):
    torch.save({"state_dict": state}, path)
    return path


@pytest.fixture
def opened(small_ckpt, tokenizer):
    return partial(open_model, str(small_ckpt), tokenizer=tokenizer)


class TestRead:
    def test_what_it_is_is_read_off_its_shapes(self, opened):
        parts = opened()
        assert parts.unet.config.block_channels == (32, 64, 96)
        assert parts.unet.config.heads == (1, 2, 3)
        assert parts.vae.config.block_channels == (32, 64, 128)
        assert parts.vae.config.scaling_factor == pytest.approx(0.9227914214134216, rel=1e-7)
        assert parts.vocoder.config.channels == 32
        assert parts.text.config["layer_norm_eps"] == 1e-5
        assert parts.audio.config["depths"] == [1, 2]
        assert parts.audio.config["window_size"] == 8

    def test_compat_diffusers_is_what_its_conversion_would_be(self, opened):
        parts = opened(compat="diffusers")
        assert parts.unet.config.heads == (8, 8, 8)
        assert parts.text.config["layer_norm_eps"] == 1e-12

    def test_the_running_mean_is_the_default(self, opened, small_state):
        mean, last = opened(), opened(ema=False)
        name = "model.diffusion_model.out.2.weight"
        assert torch.equal(mean.unet.weights["conv_out.weight"], small_state[ema_name(name)])
        assert torch.equal(last.unet.weights["conv_out.weight"], small_state[name])

    def test_without_a_running_mean_the_last_weights_are_taken(self, small_state, tmp_path):
        state = {k: v for k, v in small_state.items() if not k.startswith("model_ema.")}
        parts = open_model(str(save(state, tmp_path / "x.ckpt")))
        name = "model.diffusion_model.out.2.weight"
        assert torch.equal(parts.unet.weights["conv_out.weight"], state[name])

    def test_query_key_and_value_of_the_audio_tower(self, opened, small_state):
        name = "cond_stage_model.model.audio_branch.layers.1.blocks.0.attn.qkv.weight"
        block = "audio_model.audio_encoder.layers.1.blocks.0.attention.self"
        parts = [opened().audio.weights[f"{block}.{n}.weight"] for n in ("query", "key", "value")]
        assert torch.equal(torch.cat(parts), small_state[name])

    def test_its_clap_is_given_sound_by_the_resampler_of_the_authors(self, opened):
        assert opened().front_end == PUBLISHED_FRONT_END
        assert PUBLISHED_FRONT_END.resampler == "sinc-hann-6"

    def test_a_trainer_checkpoint(self, small_state, opened, tmp_path):
        path = tmp_path / "trainer.ckpt"
        torch.save(authors.trainer(small_state), path)
        parts, expected = open_model(str(path)), opened()
        for name, stored in parts.stored.items():
            for key, tensor in expected.stored[name].weights.items():
                torch.testing.assert_close(stored.weights[key], tensor, rtol=1e-5, atol=1e-6)

    def test_a_compiled_network(self, small_state, opened, tmp_path):
        state = {
            k.replace("diffusion_model.", "diffusion_model._orig_mod."): v
            for k, v in small_state.items()
        }
        parts = open_model(str(save(state, tmp_path / "x.ckpt")), ema=False)
        ours = parts.unet.weights
        assert all(torch.equal(ours[k], v) for k, v in opened(ema=False).unet.weights.items())

    def test_without_an_audio_tower(self, small_state, tmp_path):
        state = {k: v for k, v in small_state.items() if ".audio_" not in k}
        path = save(state, tmp_path / "x.ckpt")
        assert open_model(str(path)).audio is None
        with pytest.raises(ModelError, match="no CLAP audio tower"):
            open_audio(path)


class TestLoad:
    @pytest.fixture(scope="class")
    def model(self, small_ckpt, tokenizer):
        return latentfoley.load(small_ckpt, tokenizer=tokenizer, device="cpu")

    def test_it_generates(self, model):
        (clip,) = model.generate("rain", duration_s=0.3, steps=2)
        assert len(clip.waveform) == 4800 and clip.waveform.std() > 1e-3

    def test_converted_it_is_the_same_function(self, model, small_ckpt, tokenizer, tmp_path):
        write_folder(open_model(str(small_ckpt), tokenizer=tokenizer), tmp_path / "out")
        folder = latentfoley.load(tmp_path / "out", device="cpu")
        assert folder.config == model.config
        clips = [m.generate("rain", duration_s=0.3, steps=2)[0].waveform for m in (model, folder)]
        # Not to the last bit: how tensors lie in memory decides the order of sums.
        np.testing.assert_allclose(*clips, rtol=0, atol=1e-5)

    def test_what_it_predicts_can_be_given_and_is_recorded(self, small_ckpt, tokenizer):
        given = {"tokenizer": tokenizer, "device": "cpu"}
        noise = latentfoley.load(small_ckpt, **given)
        model = latentfoley.load(small_ckpt, prediction="v_prediction", **given)
        assert model.config.schedule.prediction == "v_prediction"
        one, other = (m.generate("rain", duration_s=0.3, steps=2)[0] for m in (noise, model))
        assert np.abs(one.waveform - other.waveform).max() > 1e-3
        assert (one.provenance.prediction, other.provenance.prediction) == (None, "v_prediction")
        assert one.provenance.identity != other.provenance.identity

    def test_a_prediction_that_is_none(self, small_ckpt, micro_model_folder):
        with pytest.raises(InputError, match="unknown prediction 'v'; allowed: epsilon, v_pred"):
            latentfoley.load(small_ckpt, prediction="v")
        with pytest.raises(InputError, match="says itself that it predicts epsilon"):
            latentfoley.load(micro_model_folder, prediction="v_prediction")

    def test_it_hears(self, small_ckpt):
        E = AudioTower.load(small_ckpt).embed(tone(duration_s=0.5), 16_000)
        torch.testing.assert_close(E.norm(), torch.tensor(1.0))

    def test_without_a_tokenizer_it_says_what_to_give(self, small_ckpt, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(
            ModelError, match=r"holds no tokenizer, .* Give .* roberta.* --tokenizer FOLDER"
        ):
            latentfoley.load(small_ckpt)


def require_same_bytes(state, again, ema):
    """Every tensor of the parts is there again, byte for byte, shape for shape."""
    learned = [n for n in state if n.partition(".")[0] in ("first_stage_model", "cond_stage_model")]
    unused = ("transform", "logit_scale", "extractor", "tscam", ".head.", "attn_mask", "_ids")
    learned = [n for n in learned if not any(part in n for part in unused)]
    for name in [*learned, "scale_factor"]:
        assert again[name].dtype == state[name].dtype and again[name].shape == state[name].shape
        assert torch.equal(again[name], state[name]), name
    for name in [n for n in state if n.startswith("model.diffusion_model.")]:
        expected = state[ema_name(name) if ema else name]
        assert torch.equal(again[name], expected), name
        assert torch.equal(again[ema_name(name)], expected), name
    return len(learned)


class TestThereAndBack:
    @pytest.mark.parametrize("ema", [True, False])
    @pytest.mark.parametrize("half", [False, True])
    def test_the_same_bytes(self, small_state, tokenizer, tmp_path, ema, half):
        state = {k: v.half() if half and v.dim() else v for k, v in small_state.items()}
        path = save(state, tmp_path / "one.ckpt")
        write_folder(open_model(str(path), tokenizer=tokenizer, ema=ema), tmp_path / "folder")
        write_original(open_folder(tmp_path / "folder"), tmp_path / "two.ckpt")
        again = read_state(tmp_path / "two.ckpt")
        assert require_same_bytes(state, again, ema) > 250
        first, second = (open_model(str(p), ema=True).unet for p in (path, tmp_path / "two.ckpt"))
        assert first.config == second.config

    @pytest.mark.slow
    @pytest.mark.parametrize("ema", [True, False])
    def test_the_same_bytes_at_the_published_size(self, tokenizer, tmp_path, ema):
        state = authors.checkpoint(authors.published(), ema=ema)
        path = save(state, tmp_path / "one.ckpt")
        write_folder(open_model(str(path), tokenizer=tokenizer), tmp_path / "folder")
        write_original(open_folder(tmp_path / "folder"), tmp_path / "two.ckpt")
        path.unlink()
        assert require_same_bytes(state, read_state(tmp_path / "two.ckpt"), ema) > 750

    def test_the_mean_takes_no_second_place_in_the_file(self, opened, tmp_path):
        parts = opened()
        size = write_original(parts, tmp_path / "x.ckpt")
        n_bytes = sum(t.nbytes for s in parts.stored.values() for t in s.weights.values())
        assert size < 1.2 * n_bytes

    def test_the_tables_are_those_of_the_schedule(self):
        tables, schedule = schedule_buffers(ScheduleConfig()), Schedule()
        assert set(tables) == set(authors.TABLES)
        alpha_bar = torch.tensor([schedule.level(n).alpha ** 2 for n in range(1000)])
        torch.testing.assert_close(tables["alphas_cumprod"], alpha_bar.float())
        assert float(tables["alphas_cumprod"][999]) == pytest.approx(1.42303975e-4, rel=1e-6)

    def test_what_the_format_cannot_say(self, micro_model_folder, tmp_path):
        message = r"has no place for heads .*, norms of other than 32 groups, a vocoder of other"
        with pytest.raises(ModelError, match=message):
            write_original(open_folder(micro_model_folder), tmp_path / "x.ckpt")
        assert not list(tmp_path.iterdir())

    def test_nothing_is_overwritten(self, opened, tmp_path):
        (tmp_path / "x.ckpt").touch()
        with pytest.raises(ModelError, match="exists already"):
            write_original(opened(), tmp_path / "x.ckpt")
        with pytest.raises(ModelError, match="exists already"):
            write_folder(opened(), tmp_path)


class TestStrict:
    def refused(self, state, tmp_path, message):
        path = save(state, tmp_path / "x.ckpt")
        with pytest.raises(ModelError, match=message):
            open_original(path, find_tokenizer=lambda: tmp_path)

    def test_a_missing_tensor_and_an_unknown_one_with_the_nearest(self, small_state, tmp_path):
        name = "first_stage_model.encoder.mid.attn_1.q.weight"
        state = {k.replace(name, name + "s"): v for k, v in small_state.items()}
        message = rf"1 tensors missing, 1 unexpected:\n  missing: {name}\n"
        message += rf"  unexpected: {name}s\. Did you mean '{name}'"
        self.refused(state, tmp_path, message)

    @pytest.mark.parametrize(
        "name",
        [
            "model.diffusion_model.output_blocks.3.1.proj_in.bias",
            "first_stage_model.vocoder.ups.0.bias",
        ],
    )
    def test_a_missing_tensor(self, small_state, tmp_path, name):
        state = {k: v for k, v in small_state.items() if k not in (name, ema_name(name))}
        self.refused(state, tmp_path, "1 tensors missing, 0 unexpected")

    def test_an_extra_attention_layer(self, small_state, tmp_path):
        extra = "model.diffusion_model.middle_block.3.norm.weight"
        state = small_state | {extra: torch.ones(3)}
        self.refused(state, tmp_path, rf"1 unexpected:\n  unexpected: {extra}")

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ("model.diffusion", "holds no AudioLDM denoiser"),
            ("first_stage_model.encoder", "has no|block_channels"),
            ("cond_stage_model.model.text", "text_branch.embeddings.word_embeddings.weight"),
            ("scale_factor", "has no scale_factor"),
        ],
    )
    def test_a_missing_part(self, small_state, tmp_path, part, message):
        state = {k: v for k, v in small_state.items() if not k.startswith(part)}
        self.refused(state, tmp_path, message)

    @pytest.mark.parametrize(
        "name",
        [
            "model.diffusion_model.film_emb.weight",
            "first_stage_model.vocoder.conv_pre.weight",
            "cond_stage_model.model.audio_branch.patch_embed.proj.weight",
        ],
    )
    def test_a_tensor_of_other_axes(self, small_state, tmp_path, name):
        self.refused(small_state | {name: torch.ones(1)}, tmp_path, f"no usable '{name}'")

    def test_a_tensor_of_another_shape(self, small_state, tmp_path, tokenizer):
        name = "first_stage_model.decoder.conv_out.weight"
        state = small_state | {name: torch.ones(2, 32, 3, 3)}
        path = save(state, tmp_path / "x.ckpt")
        with pytest.raises(
            ModelError, match=r"shape of decoder\.conv_out\.weight: \(2, 32, 3, 3\)"
        ):
            latentfoley.load(path, tokenizer=tokenizer)


class Evil:
    """Unpickled without care, it makes a file."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


class TestPickles:
    """What is not plainly tensors is refused, and nothing of it runs."""

    @pytest.fixture(autouse=True)
    def in_an_empty_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        yield
        assert not (tmp_path / "ran").exists()

    def refused(self, path, message):
        with pytest.raises(ModelError, match=message):
            read_state(path)

    def test_one_that_would_run_code(self, tmp_path):
        torch.save({"state_dict": {"a": torch.ones(1), "b": Evil()}}, tmp_path / "x.ckpt")
        self.refused(tmp_path / "x.ckpt", r"refused: its pickle asks for '(os|posix)\.mkdir'")

    def test_one_that_would_run_code_without_a_container(self, tmp_path):
        (tmp_path / "x.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
        self.refused(tmp_path / "x.ckpt", "truncated or no torch file")

    def test_an_object_of_a_class(self, tmp_path):
        torch.save({"state_dict": {"a": torch.nn.Linear(1, 1)}}, tmp_path / "x.ckpt")
        self.refused(tmp_path / "x.ckpt", r"asks for 'torch\.nn\.modules\.linear\.Linear'")

    @pytest.mark.parametrize("kept", [0, 3, 1000, -1, -30])
    def test_a_truncated_file(self, small_ckpt, tmp_path, kept):
        (tmp_path / "x.ckpt").write_bytes(small_ckpt.read_bytes()[:kept])
        self.refused(tmp_path / "x.ckpt", "truncated or no torch file")

    def test_a_zip_that_is_none(self, tmp_path):
        (tmp_path / "x.ckpt").write_bytes(b"PK\x03\x04" + bytes(1000))
        self.refused(tmp_path / "x.ckpt", "truncated or no torch file")

    def test_a_zip_of_something_else(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
            archive.writestr("readme.txt", "hello")
        self.refused(tmp_path / "x.ckpt", "is damaged")

    def test_a_compressed_zip(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/data.pkl", bytes(10_000_000))
        self.refused(tmp_path / "x.ckpt", "this is compressed")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "holds a list, not named tensors"),
            ({"state_dict": {"a": 3}}, "'a' is a int, not a tensor"),
            ({"state_dict": {3: torch.ones(1)}}, "name that is no text: 3"),
            ({"state_dict": {"a": torch.ones(1).expand(10**12)}}, "claims more values than"),
            ({"state_dict": {"a": torch.ones(2).to_sparse()}}, "no ordinary tensor"),
            (
                {"state_dict": {"a": torch.ones(2, device="meta")}},
                "no ordinary tensor|refused|damag",
            ),
        ],
    )
    def test_what_are_no_tensors(self, tmp_path, content, message):
        torch.save(content, tmp_path / "x.ckpt")
        self.refused(tmp_path / "x.ckpt", message)

    def test_no_file(self, tmp_path):
        self.refused(tmp_path / "x.ckpt", "there is no file")
