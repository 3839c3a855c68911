"""What a model on disk is, as rows of text: sizes, settings and why they are so, licence."""

from pathlib import Path
from typing import Any

from latentfoley.checkpoints.hub import local_folder
from latentfoley.checkpoints.known_kinds import read_known_kinds
from latentfoley.checkpoints.parts import Parts
from latentfoley.checkpoints.registry import PUBLISHED, Published, by_hub_id


def describe(parts: Parts, name: str) -> dict[str, Any]:
    """Return the metadata of an opened model; counts are of tensors, sizes in bytes."""
    metadata: dict[str, Any] = {"model": name, "path": str(parts.where)}
    metadata["parts"] = {
        part: {
            "parameters": sum(t.numel() for t in stored.weights.values() if t.is_floating_point()),
            "bytes": sum(t.numel() * t.element_size() for t in stored.weights.values()),
            "precision": _precision(stored.weights),
        }
        for part, stored in parts.stored.items()
    }
    metadata["heads"] = {"value": list(parts.unet.config.heads), "why": parts.heads.why}
    metadata["text_eps"] = {"value": parts.text.config["layer_norm_eps"], "why": parts.eps.why}
    metadata["scaling_factor"] = parts.vae.config.scaling_factor
    metadata["prediction"] = parts.schedule.prediction
    metadata["latent"] = {
        "channels": parts.vae.config.latent_channels,
        "compression": parts.vae.config.compression,
    }
    known = read_known_kinds(parts.where) if parts.where.is_dir() else None
    metadata["kinds"] = list(known.names) if known else []
    metadata["audio_tower"] = parts.audio is not None
    metadata["trained_from"] = parts.about.trained_from
    metadata["training"] = list(parts.about.training)
    metadata["licence"] = stated_licence(parts, name) or _own_licence(parts.where)
    return metadata


def stated_licence(parts: Parts, name: str) -> str:
    """Return the licence that is on record for a model, published or inherited; "" for none."""
    published = PUBLISHED.get(name) or by_hub_id(name)
    return published.licence if published else parts.about.licence


def listing() -> list[dict[str, Any]]:
    """Return every published name, and whether it is on this machine."""
    return [_row(name, model) for name, model in PUBLISHED.items()]


def _row(name: str, model: Published) -> dict[str, Any]:
    folder = local_folder(model.hub_id) if model.hub_id else None
    return {
        "name": name,
        "size": model.size,
        "unet_parameters": model.unet_parameters,
        "bytes": model.n_bytes,
        "hub_id": model.hub_id,
        "zenodo": model.zenodo,
        "licence": model.licence,
        "path": str(folder) if folder else None,
    }


def _precision(weights: Any) -> str:
    kinds = {str(t.dtype).removeprefix("torch.") for t in weights.values() if t.is_floating_point()}
    return ", ".join(sorted(kinds))


def _own_licence(where: Path) -> str:
    cards = [where / name for name in ("MODEL_CARD.md", "README.md")] if where.is_dir() else []
    card = next((card for card in cards if card.is_file()), None)
    return f"see {card}" if card else "not stated"
