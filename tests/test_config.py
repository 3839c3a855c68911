"""Descriptions of models: immutable, strict about names, with errors that teach."""

import pytest
from pydantic import ValidationError

from latentfoley.checkpoints.towers import text_network
from latentfoley.config import (
    ClapFrontEnd,
    MelConfig,
    ModelConfig,
    ScheduleConfig,
    UnetConfig,
    VaeConfig,
    VocoderConfig,
)
from latentfoley.errors import ModelError, RecipeError

ALL = [MelConfig, ClapFrontEnd, VaeConfig, UnetConfig, VocoderConfig, ScheduleConfig, ModelConfig]


@pytest.mark.parametrize("kind", ALL)
def test_what_is_written_can_be_read(kind):
    assert kind.model_validate_json(kind().model_dump_json()) == kind()
    assert kind.parse(kind().model_dump(), where="here") == kind()


@pytest.mark.parametrize("kind", ALL)
def test_none_can_be_changed(kind):
    config = kind()
    name = next(iter(kind.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, name, getattr(config, name))


@pytest.mark.parametrize("kind", ALL)
def test_equal_configs_are_one_key(kind):
    assert len({kind(), kind()}) == 1


class TestErrors:
    def test_an_unknown_key_and_its_nearest(self):
        with pytest.raises(RecipeError, match=r"here: unknown key 'n_mel'; .*mean 'n_mels'\?"):
            MelConfig.parse({"n_mel": 80}, where="here")

    def test_an_unknown_key_of_a_part(self):
        message = r"here: unknown key 'hop' in \[mel\]; allowed: .*hop_length"
        with pytest.raises(RecipeError, match=message):
            ModelConfig.parse({"mel": {"hop": 160}}, where="here")

    def test_a_mistyped_key_is_named_before_what_it_leaves_missing(self):
        with pytest.raises(RecipeError, match="unknown key 'n_train_step'"):
            ScheduleConfig.parse({"n_train_step": 5, "n_train_steps": 0}, where="here")

    @pytest.mark.parametrize(
        ("kind", "values", "message"),
        [
            (MelConfig, {"framing": "middle"}, "framing: .*'trainer' or 'inference', got 'middle'"),
            (MelConfig, {"n_fft": "many"}, "n_fft: .*integer.*got 'many'"),
            (VaeConfig, {"scaling_factor": 0}, "scaling_factor: .*greater than 0, got 0"),
            (VaeConfig, {"block_channels": 8}, "block_channels: .*tuple, got 8"),
            (
                VaeConfig,
                {"block_channels": (8, 20)},
                "8 channels do not divide into 32 norm_groups",
            ),
            (UnetConfig, {"block_channels": (64, 72)}, "72 channels do not divide into 32 norm"),
            (UnetConfig, {"heads": (1, 2)}, r"heads \(1, 2\) must have one entry per level"),
            (UnetConfig, {"heads": (1, 3, 3, 3)}, "256 channels do not divide into 3 heads"),
            (UnetConfig, {"heads": (1, 0, 3, 3)}, r"heads\.1: .*greater than or equal to 1, got 0"),
            (ScheduleConfig, {"n_train_steps": 0}, "n_train_steps: .*greater than or equal to 1"),
            (ModelConfig, {"vae": {"scaling_factor": -1}}, "vae.scaling_factor: "),
        ],
    )
    def test_a_value_that_is_not_allowed(self, kind, values, message):
        with pytest.raises(RecipeError, match=f"^here: .*{message}"):
            kind.parse(values, where="here")


def test_the_window_of_clap_in_samples():
    assert ClapFrontEnd().n_samples == 480_000
    assert ClapFrontEnd(sample_rate=16_000, window_s=5.0).n_samples == 80_000


def test_clap_listens_through_a_centred_mel():
    mel = ClapFrontEnd().mel
    assert (mel.framing, mel.hop_length, mel.sample_rate) == ("inference", 480, 48_000)


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_every_level_but_the_last_halves(levels):
    assert VaeConfig(block_channels=(32,) * levels).compression == 2 ** (levels - 1)


class TestBounds:
    """A hostile config is refused by its numbers, and not by the minutes it takes to build it."""

    @pytest.mark.parametrize(
        ("config", "values"),
        [
            (UnetConfig, {"layers_per_block": 10**6}),
            (UnetConfig, {"embedding_dim": 10**400}),
            (UnetConfig, {"block_channels": [32] * 10**5}),
            (VaeConfig, {"block_channels": [32] * 40}),
            (VaeConfig, {"scaling_factor": float("inf")}),
            (VocoderConfig, {"upsample_rates": [2] * 99, "upsample_kernels": [4] * 99}),
            (MelConfig, {"sample_rate": 10**9}),
            (MelConfig, {"f_max_hz": float("nan")}),
            (ClapFrontEnd, {"window_s": 1e30}),
            (ScheduleConfig, {"n_train_steps": 10**12}),
        ],
    )
    def test_sizes_beyond_any_model(self, config, values):
        with pytest.raises(RecipeError) as refused:
            config.parse(values, where="config.json")
        assert next(iter(values)) in str(refused.value)
        assert len(str(refused.value)) < 300

    @pytest.mark.parametrize(
        "values", [{"num_hidden_layers": 10**6}, {"depths": [2, 10**6]}, {"hidden_size": 10**9}]
    )
    def test_towers_too(self, values):
        with pytest.raises(ModelError, match=rf"{next(iter(values))} is .*; allowed: up to"):
            text_network({"model_type": "clap_text_model", **values})
