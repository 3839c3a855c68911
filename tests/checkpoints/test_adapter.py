"""LoRA adapters on disk: peft reads ours and we read peft's, both as the same function."""

import json

import pytest
import torch

import latentfoley
from latentfoley.checkpoints.adapter import CONFIG, WEIGHTS, read_adapter, write_adapter
from latentfoley.checkpoints.layout import open_unet
from latentfoley.checkpoints.tensors import read_tensors, write_tensors
from latentfoley.errors import ModelError
from latentfoley.lora import adapt, adapters
from latentfoley.training.diffusion_recipe import LORA_TARGETS
from latentfoley.unet import Unet
from weights import normal, randomise, relative_error

RANK, ALPHA = 3, 12.0


@pytest.fixture
def adapted(micro_model_folder):
    """The micro model's denoiser with random adapters."""
    unet = open_unet(micro_model_folder / "unet").fill(Unet)
    adapt(unet, RANK, ALPHA / RANK, LORA_TARGETS)
    for k, adapter in enumerate(adapters(unet).values()):
        randomise(adapter, seed=k)
        adapter.lora_B.weight.data *= 0.3  # larger, and attention is a hard choice: chaos
    return unet


@pytest.fixture
def folder(adapted, tmp_path):
    """The same adapters on disk."""
    out = tmp_path / "adapter"
    write_adapter(out, adapters(adapted), alpha=ALPHA, targets=LORA_TARGETS, trained_from="micro")
    return out


@torch.no_grad()
def noise_seen_by(unet):
    """Return what a denoiser says to two latents."""
    return unet(normal(2, 4, 16, 16), torch.tensor([3.0, 900.0]), normal(2, 16, seed=1))


def test_merged_is_the_same_function(adapted, folder, micro_model_folder):
    plain = open_unet(micro_model_folder / "unet")
    merged = read_adapter(folder).merge(plain).fill(Unet)
    assert relative_error(noise_seen_by(merged), noise_seen_by(adapted)) < 1e-5
    assert relative_error(noise_seen_by(plain.fill(Unet)), noise_seen_by(adapted)) > 0.03


def test_peft_makes_the_same_of_it(adapted, folder, micro_model_folder):
    from peft import PeftModel

    theirs = PeftModel.from_pretrained(open_unet(micro_model_folder / "unet").fill(Unet), folder)
    assert relative_error(noise_seen_by(theirs), noise_seen_by(adapted)) < 1e-5


def test_what_peft_writes_is_read(micro_model_folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["to_q", "time_emb_proj"])
    theirs = get_peft_model(open_unet(micro_model_folder / "unet").fill(Unet), config)
    for k, (name, parameter) in enumerate(theirs.named_parameters()):
        if "lora_" in name:
            parameter.data = 0.3 * normal(*parameter.shape, seed=k)
    theirs.save_pretrained(tmp_path)
    model = latentfoley.load(micro_model_folder, device="cpu", lora=tmp_path)
    assert relative_error(noise_seen_by(model.unet), noise_seen_by(theirs)) < 1e-5


def test_the_sound_says_which_adapter_it_was(folder, micro_model_folder):
    model = latentfoley.load(micro_model_folder, device="cpu", lora=folder)
    (clip,) = model.generate("rain", duration_s=0.1, steps=1)
    assert clip.provenance.lora.name == str(folder)
    assert clip.provenance.lora.hash == read_adapter(folder).hash


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("use_dora", True, "use_dora is True, only False is supported"),
        ("use_rslora", True, "use_rslora is True"),
        ("bias", "all", "bias is 'all', only 'none' is supported"),
        ("rank_pattern", {"to_q": 4}, "rank_pattern is"),
        ("peft_type", "LOHA", "peft_type is 'LOHA', only 'LORA'"),
        ("r", 0, "r is 0; allowed: a whole number from 1"),
        ("lora_alpha", "x", "lora_alpha is 'x'; allowed: a number"),
        ("lora_alpha", 10**400, r"lora_alpha is 1000+\.\.\.0+; allowed: a number up to 1e\+06"),
        ("lora_alpha", float("inf"), "lora_alpha is inf; allowed"),
        ("target_modules", None, "target_modules is None; allowed: a list of names"),
        ("target_modules", "to_(", r"target_modules is 'to_\('; allowed"),
        ("layers_to_transform", [1], "layers_to_transform is"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(folder, key, value, says):
    values = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(values | {key: value}))
    with pytest.raises(ModelError, match=says):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda name: name.replace("lora_A", "lora_C"), "is no half of a plain LoRA"),
        (lambda name: name.replace("base_model.model.", ""), "is no half of a plain LoRA"),
        (lambda name: name.replace(".to_q.lora_A", ".to_p.lora_A"), "do not match"),
        (lambda name: name.replace(".to_q.", ".to_p."), r"'.*\.to_p', which .* Did you mean"),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, micro_model_folder, change, says):
    weights = read_tensors(folder / WEIGHTS)
    first = next(name for name in weights if ".to_q." in name).partition(".to_q.")[0]
    changed = {change(k) if k.startswith(first) else k: v.clone() for k, v in weights.items()}
    write_tensors(folder / WEIGHTS, changed)
    with pytest.raises(ModelError, match=says):
        read_adapter(folder).merge(open_unet(micro_model_folder / "unet"))


@pytest.mark.parametrize("kept", [0, 2, 8])
def test_a_part_of_an_adapter_is_refused(folder, micro_model_folder, kept):
    weights = read_tensors(folder / WEIGHTS)
    some = {name: weights[name].clone() for name in sorted(weights)[:kept]}
    write_tensors(folder / WEIGHTS, some)
    says = rf"holds {kept // 2} of the {len(weights) // 2} layers .* missing: .*to_"
    with pytest.raises(ModelError, match=says):
        read_adapter(folder).merge(open_unet(micro_model_folder / "unet"))


def test_targets_can_be_a_regular_expression(folder, adapted, micro_model_folder):
    values = json.loads((folder / CONFIG).read_text())
    names = "|".join(values["target_modules"])
    (folder / CONFIG).write_text(json.dumps(values | {"target_modules": rf".*\.({names})"}))
    merged = read_adapter(folder).merge(open_unet(micro_model_folder / "unet")).fill(Unet)
    assert relative_error(noise_seen_by(merged), noise_seen_by(adapted)) < 1e-5


def test_one_of_a_larger_model(folder, micro_model_folder):
    weights = read_tensors(folder / WEIGHTS)
    wider = {k: v.repeat(2, 1) if "lora_B" in k else v.clone() for k, v in weights.items()}
    write_tensors(folder / WEIGHTS, wider)
    with pytest.raises(ModelError, match="it was made for another model"):
        read_adapter(folder).merge(open_unet(micro_model_folder / "unet"))


def test_no_adapter(tmp_path):
    (tmp_path / "adapter").mkdir()
    with pytest.raises(ModelError, match=r"holds no adapter_config.json.* Nearest there: adapter"):
        read_adapter(tmp_path / "adaptr")
