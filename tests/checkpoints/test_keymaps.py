"""The tables: one-to-one on the full set of names of every component and size."""

import pytest
import torch

import authors
from latentfoley.checkpoints import keymaps, towers
from latentfoley.checkpoints.original import unet_map_of, vae_map_of
from latentfoley.config import VaeConfig, VocoderConfig
from latentfoley.presets import large, medium, small
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder

TEXT = {"model_type": "clap_text_model"}  # the defaults of transformers are the published size


def audio_config(width, depths):
    return {
        "hidden_size": 8 * width,
        "patch_embeds_hidden_size": width,
        "depths": list(depths),
        "num_attention_heads": [4, 8, 16, 32],
        "enable_fusion": False,
    }


def unet_case(preset, m):
    config = preset().unet
    return (lambda: Unet(config)), unet_map_of(config), authors.unet(m)


# Each: our network, the table, the authors' names and shapes, and how many names are ours alone.
COMPONENTS = {
    "S": (*unet_case(small, 128), 0),
    "M": (*unet_case(medium, 192), 0),
    "L": (*unet_case(large, 256), 0),
    "vae": (lambda: Vae(VaeConfig()), vae_map_of(VaeConfig()), authors.vae(128), 0),
    "vocoder": (lambda: Vocoder(VocoderConfig()), keymaps.VOCODER, authors.vocoder(1024), 2),
    "text": (lambda: towers.text_network(TEXT), keymaps.TEXT, authors.text(), 2),
    **{
        f"audio {name}": (
            lambda e=e, depths=depths: towers.audio_network(audio_config(e, depths)),
            keymaps.audio(depths),
            authors.audio(e, depths),
            0,
        )
        for name, e, depths in (("tiny", 96, (2, 2, 6, 2)), ("base", 128, (2, 2, 12, 2)))
    },
}
COUNTS = {"S": 185_036_552, "M": 415_954_568, "L": 739_139_080, "vae": 55_376_873}
COUNTS |= {"vocoder": 55_264_897, "text": 125_302_016}


@pytest.fixture(params=COMPONENTS)
def case(request):
    """(our names and shapes, slots, the authors' names and shapes, names that are ours alone)."""
    build, keys, shapes, alone = COMPONENTS[request.param]
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    buffers = {n for n in ours if n.endswith(("relative_position_index", "num_batches_tracked"))}
    return ours, keys.slots(ours), shapes, alone, buffers


@pytest.mark.parametrize("name", COUNTS)
def test_the_authors_networks_have_the_published_sizes(name):
    shapes = COMPONENTS[name][2]
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == COUNTS[name]


def test_every_name_of_ours_has_a_place(case):
    ours, slots, _, alone, _ = case
    assert len(slots) == len(ours) - alone


def test_no_two_of_ours_share_a_place(case):
    _, slots, _, _, _ = case
    assert len({(slot.name, slot.third) for slot in slots.values()}) == len(slots)


def test_every_name_of_theirs_is_reached_and_no_other(case):
    _, slots, shapes, _, buffers = case
    learned = {slot.name for name, slot in slots.items() if name not in buffers}
    assert learned == set(shapes)


def test_what_is_one_in_three_is_whole(case):
    _, slots, _, _, _ = case
    thirds = {}
    for slot in slots.values():
        if slot.third is not None:
            thirds.setdefault(slot.name, set()).add(slot.third)
    assert all(parts == {0, 1, 2} for parts in thirds.values())


def test_shapes_agree_place_by_place(case):
    ours, slots, shapes, _, buffers = case
    for name, slot in slots.items():
        if name in buffers:
            continue
        expected = shapes[slot.name]
        if slot.third is not None:
            expected = (expected[0] // 3, *expected[1:])
        assert ours[name] + (1, 1) * slot.pointwise == expected, name


def test_a_name_that_no_row_covers():
    with pytest.raises(KeyError, match="conv_inn"):
        unet_map_of(small().unet).slots(["conv_inn.weight"])
