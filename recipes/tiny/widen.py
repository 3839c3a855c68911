"""Give a model more latent channels: `python recipes/tiny/widen.py MODEL OUT --channels 32`.

The VAE decodes what it decoded before, but for a little of the new channels in the decoder's first
layer, by which they are learned; the denoiser does not read or write them yet. Both are to be
trained on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from latentfoley.checkpoints.parts import Parts, open_folder, write_folder
from latentfoley.checkpoints.tensors import StateDict
from latentfoley.loading import find_folder

LOG_VARIANCE = -4.0  # of a new channel
READ = 0.02  # standard deviation of the decoder's first weights for one
GAIN = 2.0  # on the usual first weights of a convolution, so that a new channel varies by about one


def widened_vae(weights: StateDict, old: int, new: int) -> StateDict:
    """Return the weights of a VAE with `new` latent channels in place of `old`."""
    more = new - old
    state = {name: tensor.float() for name, tensor in weights.items()}
    added = GAIN * nn.Conv2d(state["encoder.conv_out.weight"].shape[1], 2 * more, 3).weight.detach()
    state["encoder.conv_out.weight"] = torch.cat([state["encoder.conv_out.weight"], added])
    state["encoder.conv_out.bias"] = padded(state["encoder.conv_out.bias"], 2 * new)
    moments, bias = state["quant_conv.weight"][..., 0, 0], state["quant_conv.bias"]
    state["quant_conv.weight"] = torch.zeros(2 * new, 2 * new, 1, 1)
    mean, log_variance = moments.chunk(2)
    state["quant_conv.weight"][:old, : 2 * old, 0, 0] = mean
    state["quant_conv.weight"][old:new, 2 * old : old + new, 0, 0] = torch.eye(more)
    state["quant_conv.weight"][new : new + old, : 2 * old, 0, 0] = log_variance
    old_mean, old_log_variance = bias.chunk(2)
    parts = old_mean, torch.zeros(more), old_log_variance, torch.full((more,), LOG_VARIANCE)
    state["quant_conv.bias"] = torch.cat(parts)
    back = torch.eye(new)
    back[:old, :old] = state["post_quant_conv.weight"][..., 0, 0]
    state["post_quant_conv.weight"] = back[..., None, None]
    state["post_quant_conv.bias"] = padded(state["post_quant_conv.bias"], new)
    first = state["decoder.conv_in.weight"]
    read = READ * torch.randn(first.shape[0], more, *first.shape[2:])
    state["decoder.conv_in.weight"] = torch.cat([first, read], dim=1)
    return state


def widened_unet(weights: StateDict, new: int) -> StateDict:
    """Return the weights of a denoiser of `new` latent channels that knows the old ones alone."""
    state = {name: tensor.float() for name, tensor in weights.items()}
    state["conv_in.weight"] = padded(state["conv_in.weight"].transpose(0, 1), new).transpose(0, 1)
    for name in ("conv_out.weight", "conv_out.bias"):
        state[name] = padded(state[name], new)
    return state


def padded(tensor: Tensor, length: int) -> Tensor:
    """Return a tensor with zeros after its last row."""
    return torch.cat([tensor, tensor.new_zeros(length - len(tensor), *tensor.shape[1:])])


def widened(parts: Parts, channels: int) -> Parts:
    """Return a model with so many latent channels."""
    vae, unet = parts.vae, parts.unet
    old = vae.config.latent_channels
    if channels <= old:
        raise SystemExit(f"it has {old} channels; give more than that")
    changed = {"latent_channels": channels}
    vae = replace(
        vae,
        config=vae.config.model_copy(update=changed),
        weights=widened_vae(vae.weights, old, channels),
    )
    unet = replace(
        unet,
        config=unet.config.model_copy(update=changed),
        weights=widened_unet(unet.weights, channels),
    )
    return replace(parts, vae=vae, unet=unet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--channels", type=int, default=32)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    parts = widened(open_folder(find_folder(arguments.model)), arguments.channels)
    size = write_folder(parts, arguments.out)
    print(f"{arguments.out}  {size / 1e6:.1f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
