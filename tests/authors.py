"""Random checkpoints in the authors' format, put together block by block as their networks are.

Written from the description of their modules, not from our key maps: the shapes follow the order
in which their networks are built, and the totals are the published parameter counts.
"""

import torch

from weights import SHARPNESS

# What a checkpoint holds besides: names of the schedule's tables.
TABLES = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "logvar",
)


class Shapes(dict):
    """Name → shape, filled by layers."""

    def layer(self, name, *shape, bias=True):
        """A convolution or linear layer."""
        self[f"{name}.weight"] = shape
        if bias:
            self[f"{name}.bias"] = shape[:1]

    def norm(self, name, width):
        self[f"{name}.weight"] = self[f"{name}.bias"] = (width,)


def unet(m, mult=(1, 2, 3, 5), layers=2, latent=8, embedding=512):
    s, T = Shapes(), 8 * m
    s.layer("time_embed.0", 4 * m, m)
    s.layer("time_embed.2", 4 * m, 4 * m)
    s.layer("film_emb", 4 * m, embedding)
    s.layer("input_blocks.0.0", m, latent, 3, 3)
    number, width, skips = 1, m, [m]
    for level, factor in enumerate(mult):
        for _ in range(layers):
            _resnet(s, f"input_blocks.{number}.0", width, factor * m, T)
            width = factor * m
            if level:
                _transformer(s, f"input_blocks.{number}.1", width)
            skips.append(width)
            number += 1
        if level < len(mult) - 1:
            s.layer(f"input_blocks.{number}.0.op", width, width, 3, 3)
            skips.append(width)
            number += 1
    _resnet(s, "middle_block.0", width, width, T)
    _transformer(s, "middle_block.1", width)
    _resnet(s, "middle_block.2", width, width, T)
    number = 0
    for level, factor in reversed(list(enumerate(mult))):
        for layer in range(layers + 1):
            _resnet(s, f"output_blocks.{number}.0", width + skips.pop(), factor * m, T)
            width = factor * m
            if level:
                _transformer(s, f"output_blocks.{number}.1", width)
            if level and layer == layers:
                s.layer(f"output_blocks.{number}.{2 if level else 1}.conv", width, width, 3, 3)
            number += 1
    s.norm("out.0", m)
    s.layer("out.2", latent, m, 3, 3)
    return {f"model.diffusion_model.{name}": shape for name, shape in s.items()}


def _resnet(s, name, before, width, embedding):
    s.norm(f"{name}.in_layers.0", before)
    s.layer(f"{name}.in_layers.2", width, before, 3, 3)
    s.layer(f"{name}.emb_layers.1", width, embedding)
    s.norm(f"{name}.out_layers.0", width)
    s.layer(f"{name}.out_layers.3", width, width, 3, 3)
    if before != width:
        s.layer(f"{name}.skip_connection", width, before, 1, 1)


def _transformer(s, name, c):
    s.norm(f"{name}.norm", c)
    s.layer(f"{name}.proj_in", c, c, 1, 1)
    block = f"{name}.transformer_blocks.0"
    for attention in ("attn1", "attn2"):
        for projection in ("to_q", "to_k", "to_v"):
            s.layer(f"{block}.{attention}.{projection}", c, c, bias=False)
        s.layer(f"{block}.{attention}.to_out.0", c, c)
    s.layer(f"{block}.ff.net.0.proj", 8 * c, c)
    s.layer(f"{block}.ff.net.2", c, 4 * c)
    for number in (1, 2, 3):
        s.norm(f"{block}.norm{number}", c)
    s.layer(f"{name}.proj_out", c, c, 1, 1)


def vae(ch, mult=(1, 2, 4), layers=2, latent=8):
    s, top = Shapes(), ch * mult[-1]
    s.layer("encoder.conv_in", ch, 1, 3, 3)
    width = ch
    for level, factor in enumerate(mult):
        for block in range(layers):
            _vae_resnet(s, f"encoder.down.{level}.block.{block}", width, factor * ch)
            width = factor * ch
        if level < len(mult) - 1:
            s.layer(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    _vae_middle(s, "encoder", top)
    s.norm("encoder.norm_out", top)
    s.layer("encoder.conv_out", 2 * latent, top, 3, 3)
    s.layer("decoder.conv_in", top, latent, 3, 3)
    _vae_middle(s, "decoder", top)
    for level, factor in reversed(list(enumerate(mult))):
        for block in range(layers + 1):
            _vae_resnet(s, f"decoder.up.{level}.block.{block}", width, factor * ch)
            width = factor * ch
        if level:
            s.layer(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    s.norm("decoder.norm_out", ch)
    s.layer("decoder.conv_out", 1, ch, 3, 3)
    s.layer("quant_conv", 2 * latent, 2 * latent, 1, 1)
    s.layer("post_quant_conv", latent, latent, 1, 1)
    return {f"first_stage_model.{name}": shape for name, shape in s.items()}


def _vae_resnet(s, name, before, width):
    s.norm(f"{name}.norm1", before)
    s.layer(f"{name}.conv1", width, before, 3, 3)
    s.norm(f"{name}.norm2", width)
    s.layer(f"{name}.conv2", width, width, 3, 3)
    if before != width:
        s.layer(f"{name}.nin_shortcut", width, before, 1, 1)


def _vae_middle(s, side, c):
    for block in ("block_1", "block_2"):
        _vae_resnet(s, f"{side}.mid.{block}", c, c)
    s.norm(f"{side}.mid.attn_1.norm", c)
    for projection in ("q", "k", "v", "proj_out"):
        s.layer(f"{side}.mid.attn_1.{projection}", c, c, 1, 1)


def vocoder(channels, mels=64):
    s = Shapes()
    s.layer("conv_pre", channels, mels, 7)
    for i, kernel in enumerate((16, 16, 8, 4, 4)):
        width = channels >> (i + 1)
        s[f"ups.{i}.weight"], s[f"ups.{i}.bias"] = (2 * width, width, kernel), (width,)
        for j, size in enumerate((3, 7, 11)):
            for convs in ("convs1", "convs2"):
                for k in range(3):
                    s.layer(f"resblocks.{3 * i + j}.{convs}.{k}", width, width, size)
    s.layer("conv_post", 1, width, 7)
    return {f"first_stage_model.vocoder.{name}": shape for name, shape in s.items()}


def text(width=768, layers=12, inner=3072, vocabulary=50265, positions=514, out=512):
    s = Shapes()
    e = "text_branch.embeddings"
    s[f"{e}.word_embeddings.weight"] = (vocabulary, width)
    s[f"{e}.position_embeddings.weight"] = (positions, width)
    s[f"{e}.token_type_embeddings.weight"] = (1, width)
    s.norm(f"{e}.LayerNorm", width)
    for number in range(layers):
        layer = f"text_branch.encoder.layer.{number}"
        for projection in ("query", "key", "value"):
            s.layer(f"{layer}.attention.self.{projection}", width, width)
        s.layer(f"{layer}.attention.output.dense", width, width)
        s.norm(f"{layer}.attention.output.LayerNorm", width)
        s.layer(f"{layer}.intermediate.dense", inner, width)
        s.layer(f"{layer}.output.dense", width, inner)
        s.norm(f"{layer}.output.LayerNorm", width)
    s.layer("text_branch.pooler.dense", width, width)
    s.layer("text_projection.0", out, width)
    s.layer("text_projection.2", out, out)
    return {f"cond_stage_model.model.{name}": shape for name, shape in s.items()}


def audio(e=96, depths=(2, 2, 6, 2), heads=(4, 8, 16, 32), out=512):
    s = Shapes()
    s.layer("audio_branch.patch_embed.proj", e, 1, 4, 4)
    s.norm("audio_branch.patch_embed.norm", e)
    s.norm("audio_branch.bn0", 64)
    s["audio_branch.bn0.running_mean"] = s["audio_branch.bn0.running_var"] = (64,)
    for stage, depth in enumerate(depths):
        c = e << stage
        for b in range(depth):
            block = f"audio_branch.layers.{stage}.blocks.{b}"
            s.norm(f"{block}.norm1", c)
            s[f"{block}.attn.relative_position_bias_table"] = (225, heads[stage])
            s.layer(f"{block}.attn.qkv", 3 * c, c)
            s.layer(f"{block}.attn.proj", c, c)
            s.norm(f"{block}.norm2", c)
            s.layer(f"{block}.mlp.fc1", 4 * c, c)
            s.layer(f"{block}.mlp.fc2", c, 4 * c)
        if stage < len(depths) - 1:
            s.layer(f"audio_branch.layers.{stage}.downsample.reduction", 2 * c, 4 * c, bias=False)
            s.norm(f"audio_branch.layers.{stage}.downsample.norm", 4 * c)
    s.norm("audio_branch.norm", c)
    s.layer("audio_projection.0", out, c)
    s.layer("audio_projection.2", out, out)
    return {f"cond_stage_model.model.{name}": shape for name, shape in s.items()}


def small():
    """The shapes of a system in miniature: every part, few channels."""
    return {
        **unet(32, mult=(1, 2, 3), layers=1, latent=4, embedding=24),
        **vae(32, layers=1, latent=4),
        **vocoder(32),
        **text(width=64, layers=1, inner=96, vocabulary=47, positions=30, out=24),
        **audio(e=8, depths=(1, 2), heads=(1, 2), out=24),
    }


def published(m=128):
    """The shapes of a published system; m is 128 for S."""
    return {**unet(m), **vae(128), **vocoder(1024), **text(), **audio()}


def fill(shapes, seed=0):
    """Random tensors under which a mistake shows; see `weights.randomise`."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _draw(name, shape, generator) for name, shape in shapes.items()}


def _draw(name, shape, generator):
    draw = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return draw.square() + 0.5
    if len(shape) > 1:
        draw *= draw[0].numel() ** -0.5
    else:
        draw = 1 + 0.2 * draw if name.endswith("weight") else 0.1 * draw
    sharp = any(part in name for part in (".to_q.", ".to_k.", ".query.", ".key.", ".attn_1.q."))
    return draw * (SHARPNESS if sharp else 1)


def checkpoint(shapes, ema=True, scale_factor=0.9227914214134216):
    """The state dict of the inference package: all parts, tables, and (another) running mean."""
    state = {name: torch.rand(1000) for name in TABLES}
    state |= {"scale_factor": torch.tensor(scale_factor)} | fill(shapes)
    add_counted(state, shapes)
    if ema:
        unet_shapes = {n: s for n, s in shapes.items() if n.startswith("model.")}
        for name, tensor in fill(unet_shapes, seed=1).items():
            state["model_ema." + name.removeprefix("model.").replace(".", "")] = tensor
        state["model_ema.decay"] = torch.tensor(0.9999)
        state["model_ema.num_updates"] = torch.tensor(7, dtype=torch.int32)
    return state


def add_counted(state, shapes):
    """Add what their modules store without having learned it, and what no one uses."""
    clap = "cond_stage_model.model."
    for name in [n for n in shapes if n.endswith("relative_position_bias_table")]:
        index = torch.arange(4096).reshape(64, 64) % 225
        state[name.replace("bias_table", "index")] = index
        state[name.replace("attn.relative_position_bias_table", "attn_mask")] = torch.zeros(
            4, 64, 64
        )
    state[f"{clap}audio_branch.bn0.num_batches_tracked"] = torch.tensor(5)
    state[f"{clap}audio_branch.spectrogram_extractor.stft.conv_real.weight"] = torch.ones(5, 1, 8)
    state[f"{clap}audio_branch.logmel_extractor.melW"] = torch.ones(5, 4)
    state[f"{clap}audio_branch.tscam_conv.weight"] = torch.ones(5, 8, 2, 3)
    state[f"{clap}audio_branch.head.weight"] = torch.ones(5, 5)
    state[f"{clap}text_branch.embeddings.position_ids"] = torch.arange(30)[None]
    state[f"{clap}text_transform.sequential.0.weight"] = torch.ones(4, 4)
    state[f"{clap}audio_transform.sequential.0.weight"] = torch.ones(4, 4)
    state[f"{clap}logit_scale_a"] = state[f"{clap}logit_scale_t"] = torch.tensor(2.6)


def trainer(state):
    """The same as the authors' trainer would have stored it."""
    changed = {}
    for name, tensor in state.items():
        name = name.replace("cond_stage_model.", "cond_stage_models.0.")
        if name.startswith("first_stage_model.vocoder.") and name.endswith("weight"):
            layer = name.removesuffix("weight").replace("vocoder.", "vocoder._orig_mod.")
            axes = tuple(range(1, tensor.dim()))
            changed[f"{layer}weight_g"] = tensor.square().sum(axes, keepdim=True).sqrt()
            changed[f"{layer}weight_v"] = 3 * tensor
        else:
            changed[name] = tensor
    changed["clap.model.audio_branch.bn0.weight"] = torch.ones(64)
    changed["clap.model.logit_scale_a"] = torch.tensor(1.0)
    changed["first_stage_model.loss.logvar"] = torch.zeros(())
    changed["first_stage_model.loss.discriminator.main.0.weight"] = torch.ones(4, 1, 4, 4)
    return {"state_dict": changed, "epoch": 3, "global_step": 100, "callbacks": {}}
