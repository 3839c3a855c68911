"""The smallest model of the right shape: every part of a model folder, with random weights."""

import json
from pathlib import Path

from latentfoley.checkpoints import layout
from latentfoley.checkpoints.known_kinds import write_known_kinds
from latentfoley.clap import TextTower
from latentfoley.config import (
    ClapFrontEnd,
    ScheduleConfig,
    UnetConfig,
    VaeConfig,
    VocoderConfig,
)
from latentfoley.known import KnownKinds
from latentfoley.training.clap import AudioTowerConfig
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from weights import randomise

EMBEDDING_DIM = 16
VAE = VaeConfig(
    latent_channels=4,
    block_channels=(8, 16, 32),
    layers_per_block=1,
    norm_groups=4,
    scaling_factor=0.9,
)
UNET = UnetConfig(
    latent_channels=4,
    block_channels=(8, 16, 32),
    layers_per_block=1,
    heads=(1, 2, 4),
    embedding_dim=EMBEDDING_DIM,
    norm_groups=4,
)
# The first kernel minus its rate is odd, as in the published generator: the sound has a tail.
VOCODER = VocoderConfig(
    channels=16,
    upsample_rates=(5, 8, 4),
    upsample_kernels=(16, 16, 8),
    resblock_kernels=(3, 5),
    resblock_dilations=((1, 3), (1, 2)),
)
FRONT_END = ClapFrontEnd(
    sample_rate=16_000,
    n_fft=512,
    hop_length=320,
    n_mels=16,
    f_min_hz=50,
    f_max_hz=8000,
    window_s=1.0,
)
AUDIO_TOWER = AudioTowerConfig(
    width=8, depths=(1, 1), heads=(2, 4), attention_window=4, image_size=32, patch_size=4
)
MAX_TOKENS = 24

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = ("a", "the", "dog", "bark", "rain", "sea", "wave", "clock", "tone", "noise", "click")
_PIECES = ("##ing", "##s", "##y", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"))
VOCABULARY = (*_SPECIAL, *_WORDS, *"bcdefghijklmnopqrstuvwxyz", *_PIECES)


def write_model_folder(folder: Path) -> Path:
    """Write a complete model, as `latentfoley train export` would leave it."""
    layout.write_vae(folder / "vae", VAE, randomise(Vae(VAE), seed=1).state_dict())
    layout.write_unet(folder / "unet", UNET, randomise(Unet(UNET), seed=2).state_dict())
    vocoder = randomise(Vocoder(VOCODER), seed=3)
    layout.write_vocoder(folder / "vocoder", VOCODER, vocoder.state_dict())
    layout.write_schedule(folder / "scheduler", ScheduleConfig())
    text_model().save_pretrained(folder / "text_encoder")
    tokenizer().save_pretrained(folder / "tokenizer")
    audio_model().save_pretrained(folder / "audio_encoder")
    layout.write_front_end(folder / "feature_extractor", FRONT_END)
    layout.write_description(folder, layout.Description())
    written = json.loads((folder / "tokenizer" / "tokenizer_config.json").read_text())
    layout.write_index(folder, written["tokenizer_class"])
    return folder


def write_knowing_folder(folder: Path) -> Path:
    """Write a complete model that knows rain and dogs, and takes no text but theirs for near."""
    signatures = TextTower.load(write_model_folder(folder)).signatures(["rain", "a dog bark"])
    write_known_kinds(folder, KnownKinds(("rain", "dog"), signatures, 0.999))
    return folder


def text_model():
    """A CLAP text tower of one layer."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    config = ClapTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS + 1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        projection_dim=EMBEDDING_DIM,
    )
    return randomise(ClapTextModelWithProjection(config), seed=4)


def tokenizer():
    """A WordPiece tokenizer that can spell every word."""
    from transformers import BertTokenizer

    vocabulary = {piece: number for number, piece in enumerate(VOCABULARY)}
    return BertTokenizer(vocab=vocabulary, model_max_length=512)


def audio_model():
    """A CLAP audio tower of two stages."""
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    config = ClapAudioConfig(
        window_size=AUDIO_TOWER.attention_window,
        num_mel_bins=FRONT_END.n_mels,
        spec_size=AUDIO_TOWER.image_size,
        patch_size=AUDIO_TOWER.patch_size,
        patch_stride=[AUDIO_TOWER.patch_size] * 2,
        patch_embeds_hidden_size=AUDIO_TOWER.width,
        hidden_size=2 * AUDIO_TOWER.width,
        depths=list(AUDIO_TOWER.depths),
        num_attention_heads=list(AUDIO_TOWER.heads),
        num_hidden_layers=2,
        projection_dim=EMBEDDING_DIM,
        enable_fusion=False,
    )
    return randomise(ClapAudioModelWithProjection(config), seed=5)


def clap_folder(folder: Path) -> Path:
    """Write both towers as transformers keeps a `ClapModel`: in one file."""
    from transformers import ClapConfig, ClapModel

    config = ClapConfig(
        text_config=text_model().config.to_dict(),
        audio_config=audio_model().config.to_dict(),
        projection_dim=EMBEDDING_DIM,
    )
    randomise(ClapModel(config), seed=6).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    layout.write_front_end(folder, FRONT_END)
    return folder
