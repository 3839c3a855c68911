"""The published AudioLDM checkpoints: names, places, sizes and licences.

Sources: the listings and LFS pointers of the repositories `cvssp/audioldm*` on the Hugging Face hub
(sizes, licence tags, SHA-256), and the download table of haoheliu/AudioLDM (names, Zenodo records).
Hashes are kept as far as they are known: some only by their first and last digits.
"""

from dataclasses import dataclass, field

from latentfoley.errors import ModelError

LICENCE = "CC BY-NC-SA 4.0 (non-commercial)"

# Bytes of the parts that every size shares.
_TEXT, _VAE, _VOCODER = 501_284_353, 221_586_505, 221_120_349


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    `hashes` maps a file to the SHA-256 it begins and ends with; `revision` is the commit they were
    read at, None where that is not known.
    """

    size: str
    hub_id: str | None
    zenodo: int
    unet_parameters: int
    revision: str | None = None
    hashes: dict[str, tuple[str, str]] = field(default_factory=dict)
    licence: str = LICENCE

    @property
    def n_bytes(self) -> int:
        """Bytes of the weights that sampling needs, in fp32."""
        return 4 * self.unet_parameters + _TEXT + _VAE + _VOCODER

    def hub_id_or_raise(self) -> str:
        """Return the hub id.

        Raises:
            ModelError: it was published as a .ckpt only.
        """
        if self.hub_id is None:
            raise ModelError(
                "this model was published as a .ckpt only: get it from Zenodo record "
                f"{self.zenodo} (https://zenodo.org/records/{self.zenodo}), then run "
                "`latentfoley models convert FILE OUT`"
            )
        return self.hub_id


_S, _M, _L = 185_036_552, 415_954_568, 739_139_080
_SHARED = {
    "vae/diffusion_pytorch_model.bin": ("e3fc8cce", "aaf7"),
    "vocoder/pytorch_model.bin": ("f9fbefc2", "2364"),
}

PUBLISHED = {
    "audioldm-s-full": Published(
        "S",
        "cvssp/audioldm",
        7600541,
        _S,
        hashes={"unet/diffusion_pytorch_model.bin": ("f09603d1", "04d6")},
    ),
    "audioldm-s-full-v2": Published(
        "S",
        "cvssp/audioldm-s-full-v2",
        7698295,
        _S,
        revision="feeb3d14203495a4b6ac0893cbdedb2159b4819c",
        hashes={
            "text_encoder/model.safetensors": ("c92b5a2b", ""),
            "unet/diffusion_pytorch_model.safetensors": ("fc30d5b5", ""),
            "vae/diffusion_pytorch_model.safetensors": ("42f64f75", ""),
            "vocoder/model.safetensors": ("d9dc6513", ""),
            "unet/diffusion_pytorch_model.bin": ("d30778d5", "aee6"),
            "text_encoder/pytorch_model.bin": ("0292e65e", ""),
            **_SHARED,
        },
    ),
    "audioldm-m-full": Published(
        "M",
        "cvssp/audioldm-m-full",
        7813012,
        _M,
        hashes={
            "unet/diffusion_pytorch_model.bin": ("c20e9e95", "d4d8"),
            "text_encoder/pytorch_model.bin": ("3bc6b4b7", ""),
            **_SHARED,
        },
    ),
    "audioldm-l-full": Published("L", "cvssp/audioldm-l-full", 7698295, _L),
    "audioldm-s-text-ft": Published("S", None, 7813012, _S),
    "audioldm-m-text-ft": Published("M", None, 7813012, _M),
}


def by_hub_id(hub_id: str) -> Published | None:
    """Return the entry of a hub id; None where it is not one of these."""
    return next((p for p in PUBLISHED.values() if p.hub_id == hub_id), None)
