"""What the authors' checkpoints call our tensors: one table per component, read both ways.

A row pairs the beginning of one of our names with the beginning of theirs; what follows (`.weight`,
`.bias`, or more) is the same in both. Numbers in braces stand for every place the row applies to.
`slots` turns a table into the full map of a network:

    our name → Slot(their name, which third of it, whether it is a 1 x 1 convolution there)

and it must be one-to-one; reading follows it, writing goes back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from string import Formatter

Row = tuple[str, str]
Place = dict[str, int]


@dataclass(frozen=True)
class Slot:
    """Where one of our tensors lies in a checkpoint of the authors."""

    name: str
    third: int | None = None  # of a tensor that holds query, key and value one below the other
    pointwise: bool = False  # theirs is a 1 x 1 convolution, ours a linear layer


@dataclass(frozen=True)
class KeyMap:
    """The table of one component."""

    prefix: str
    rows: tuple[Row, ...]
    pointwise: tuple[str, ...] = ()  # parts of our names that are 1 x 1 convolutions there
    thirds: tuple[str, ...] = ()  # the three of ours that are one there, in order
    ours_alone: tuple[str, ...] = ()  # endings of names that they do not store, or as buffers

    def slots(self, names: Iterable[str]) -> dict[str, Slot]:
        """Return the place of each of our tensors.

        Raises:
            KeyError: a name that no row covers.
        """
        pairs = dict(self.rows)
        stored = (name for name in names if not name.endswith(self.ours_alone or ("\0",)))
        return {name: self._slot(name, pairs) for name in stored}

    def _slot(self, name: str, pairs: dict[str, str]) -> Slot:
        """Return the place given by the longest row that `name` begins with."""
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            if theirs := pairs.get(".".join(parts[:cut])):
                rest = "".join(f".{part}" for part in parts[cut:])
                third = next((i for i, t in enumerate(self.thirds) if f".{t}." in name), None)
                pointwise = name.endswith(".weight") and any(p in name for p in self.pointwise)
                return Slot(self.prefix + theirs + rest, third, pointwise)
        raise KeyError(name)


def unet(levels: int, layers: int) -> KeyMap:
    """The denoiser: `model.diffusion_model.`; theirs counts blocks through all levels."""
    down, up = layers + 1, layers + 1
    places = list(product(range(levels), range(layers)))
    downs = [{"b": b, "j": j, "i": 1 + b * down + j} for b, j in places]
    samplers = [{"b": b, "i": (b + 1) * down} for b in range(levels - 1)]
    ups = [{"b": b, "j": j, "i": b * up + j} for b, j in product(range(levels), range(up))]
    doublers = [{"b": b, "i": (b + 1) * up - 1} for b in range(levels - 1)]
    rows = [
        *_UNET_STEM,
        *_expand(_resnet("down_blocks.{b}.resnets.{j}", "input_blocks.{i}.0"), downs),
        *_expand([("down_blocks.{b}.attentions.{j}", "input_blocks.{i}.1")], downs),
        *_expand([("down_blocks.{b}.downsamplers.0.conv", "input_blocks.{i}.0.op")], samplers),
        *_resnet("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        *_resnet("mid_block.resnets.1", "middle_block.2"),
        *_expand(_resnet("up_blocks.{b}.resnets.{j}", "output_blocks.{i}.0"), ups),
        *_expand([("up_blocks.{b}.attentions.{j}", "output_blocks.{i}.1")], ups),
        *_expand([("up_blocks.{b}.upsamplers.0.conv", "output_blocks.{i}.2.conv")], doublers),
    ]
    return KeyMap("model.diffusion_model.", tuple(rows))


_UNET_STEM: list[Row] = [
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("class_embedding", "film_emb"),
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
]
_UNET_RESNET: list[Row] = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
]


def vae(levels: int, layers: int) -> KeyMap:
    """The first stage: `first_stage_model.`; theirs counts the decoder's levels from inside out."""
    downs = [{"b": b, "j": j} for b, j in product(range(levels), range(layers))]
    ups = [
        {"b": b, "j": j, "l": levels - 1 - b} for b, j in product(range(levels), range(layers + 1))
    ]
    rows = [
        ("quant_conv", "quant_conv"),
        ("post_quant_conv", "post_quant_conv"),
        *_expand(_VAE_ENCODER, downs),
        *_expand(_VAE_DECODER, ups),
        *(
            _join(side, ours, theirs)
            for side in ("encoder", "decoder")
            for ours, theirs in _VAE_MID
        ),
    ]
    return KeyMap(
        "first_stage_model.",
        tuple(rows),
        pointwise=tuple(f"attentions.0.{n}" for n in ("to_q", "to_k", "to_v", "to_out")),
    )


_VAE_RESNET: list[Row] = [(n, n) for n in ("norm1", "conv1", "norm2", "conv2")] + [
    ("conv_shortcut", "nin_shortcut")
]
_VAE_ENCODER: list[Row] = [
    *(
        (f"encoder.down_blocks.{{b}}.resnets.{{j}}.{ours}", f"encoder.down.{{b}}.block.{{j}}.{t}")
        for ours, t in _VAE_RESNET
    ),
    ("encoder.down_blocks.{b}.downsamplers.0.conv", "encoder.down.{b}.downsample.conv"),
]
_VAE_DECODER: list[Row] = [
    *(
        (f"decoder.up_blocks.{{b}}.resnets.{{j}}.{ours}", f"decoder.up.{{l}}.block.{{j}}.{t}")
        for ours, t in _VAE_RESNET
    ),
    ("decoder.up_blocks.{b}.upsamplers.0.conv", "decoder.up.{l}.upsample.conv"),
]
_VAE_MID: list[Row] = [
    ("conv_in", "conv_in"),
    ("conv_norm_out", "norm_out"),
    ("conv_out", "conv_out"),
    *((f"mid_block.resnets.0.{ours}", f"mid.block_1.{theirs}") for ours, theirs in _VAE_RESNET),
    *((f"mid_block.resnets.1.{ours}", f"mid.block_2.{theirs}") for ours, theirs in _VAE_RESNET),
    ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
    ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
    ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
    ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
    ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
]

VOCODER = KeyMap(
    "first_stage_model.vocoder.",
    (
        ("conv_pre", "conv_pre"),
        ("upsampler", "ups"),
        ("resblocks", "resblocks"),
        ("conv_post", "conv_post"),
    ),
    ours_alone=("mean", "scale"),
)

TEXT = KeyMap(
    "cond_stage_model.model.",
    (
        ("text_model", "text_branch"),
        ("text_projection.linear1", "text_projection.0"),
        ("text_projection.linear2", "text_projection.2"),
    ),
    ours_alone=("position_ids", "token_type_ids"),
)


def audio(depths: tuple[int, ...]) -> KeyMap:
    """The audio tower, HTSAT: query, key and value are one tensor there."""
    blocks: list[Place] = [{"s": s, "b": b} for s, depth in enumerate(depths) for b in range(depth)]
    stages: list[Place] = [{"s": s} for s in range(len(depths) - 1)]
    rows = [
        ("audio_projection.linear1", "audio_projection.0"),
        ("audio_projection.linear2", "audio_projection.2"),
        ("audio_model.audio_encoder.patch_embed", "audio_branch.patch_embed"),
        ("audio_model.audio_encoder.batch_norm", "audio_branch.bn0"),
        ("audio_model.audio_encoder.norm", "audio_branch.norm"),
        *_expand(
            [_join(_OUR_BLOCK, o, t, "audio_branch.layers.{s}.blocks.{b}") for o, t in _SWIN],
            blocks,
        ),
        *_expand(
            [
                (
                    "audio_model.audio_encoder.layers.{s}.downsample",
                    "audio_branch.layers.{s}.downsample",
                )
            ],
            stages,
        ),
    ]
    return KeyMap("cond_stage_model.model.", tuple(rows), thirds=("query", "key", "value"))


_OUR_BLOCK = "audio_model.audio_encoder.layers.{s}.blocks.{b}"
_SWIN: list[Row] = [
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("attention.self.query", "attn.qkv"),
    ("attention.self.key", "attn.qkv"),
    ("attention.self.value", "attn.qkv"),
    ("attention.self.relative_position_bias_table", "attn.relative_position_bias_table"),
    ("attention.self.relative_position_index", "attn.relative_position_index"),
    ("attention.output.dense", "attn.proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
]


def _resnet(ours: str, theirs: str) -> list[Row]:
    return [(f"{ours}.{o}", f"{theirs}.{t}") for o, t in _UNET_RESNET]


def _join(prefix: str, ours: str, theirs: str, their_prefix: str | None = None) -> Row:
    return f"{prefix}.{ours}", f"{their_prefix or prefix}.{theirs}"


def _expand(rows: Iterable[Row], places: Iterable[Place]) -> Iterator[Row]:
    """Write each row out at every place; rows that a place does not number repeat, harmlessly."""
    places = list(places)
    for ours, theirs in rows:
        for place in places:
            yield _fill(ours, place), _fill(theirs, place)


def _fill(template: str, place: Place) -> str:
    return Formatter().vformat(template, (), place)
