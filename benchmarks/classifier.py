"""Judge of generated sounds: a small classifier of the ten ESC-10 classes, or of fifty of ESC-50.

The classifier is trained on real recordings only and shares no code with the ``latentfoley``
package: it has its own log-mel front end and its own network, so that its verdict on generated
clips is independent of the model that made them.

Train on every recording and save the weights::

    python benchmarks/classifier.py train --out build/classifier.safetensors

Measure it on recordings that it has not seen (leave one fold out)::

    python benchmarks/classifier.py cross-validate --resynthesis --out build/classifier_cv.json

The judge of fifty classes is trained on what a manifest does not keep out, so that the recordings
that it does keep out are new to the judge and to a model trained by the same manifest::

    python benchmarks/classifier.py train --data ../shared/data/esc10 ../shared/data/esc50 \
        --manifest runs/tiny/manifest.jsonl --out build/classifier-fifty.safetensors
"""

import argparse
import csv
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

CLASSES: tuple[str, ...] = (
    "baby_cry",
    "chainsaw",
    "clock_tick",
    "dog_bark",
    "fire_crackling",
    "helicopter",
    "person_sneeze",
    "rain",
    "rooster",
    "sea_waves",
)
"""The ten of ESC-10, in the order of its network's outputs."""

SAMPLE_RATE = 16_000  # Hz
WINDOW_SAMPLES = 5 * SAMPLE_RATE  # what the network sees at once
WINDOW_HOP = WINDOW_SAMPLES // 2  # between windows of a longer clip
MIN_SAMPLES = SAMPLE_RATE // 5  # shortest clip that is judged
N_FFT = 1024
FRAME_SAMPLES = 512
FRAME_HOP = 320
BANDS = 64
FLOOR_DB = -80.0  # relative to a full-scale sine
CHANNELS = (32, 64, 128, 192)


@dataclass(frozen=True)
class Recipe:
    """How an ensemble is trained."""

    epochs: int = 60
    members: int = 1
    batch: int = 24
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    mixup: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Dataset:
    """Real clips: ``waves`` [N, samples] at 16 kHz, ``labels`` [N] class indices, ``folds`` [N].

    ``classes`` are their names.
    """

    waves: Tensor
    labels: Tensor
    folds: Tensor
    classes: tuple[str, ...]


# --- Front end -----------------------------------------------------------------------------


def mel_filterbank(bands: int = BANDS, low: float = 40.0, high: float = 8000.0) -> Tensor:
    """Triangular filters [bands, bins] of unit peak, equally wide on the HTK mel scale.

    ``low`` and ``high`` are the outer edges in Hz.
    """
    low_mel, high_mel = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    mels = torch.linspace(low_mel, high_mel, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


def spectrum(waves: Tensor) -> Tensor:
    """Complex spectrum [N, bins, frames] of ``waves`` [N, samples]; full-scale sines reach 1."""
    window = torch.hann_window(FRAME_SAMPLES)
    frames = torch.stft(
        waves,
        N_FFT,
        FRAME_HOP,
        FRAME_SAMPLES,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return frames / (window.sum() / 2)


def log_mel(waves: Tensor) -> Tensor:
    """Log-mel level [N, bands, frames] in dB (at least ``FLOOR_DB``) of ``waves`` [N, samples]."""
    power = mel_filterbank() @ spectrum(waves).abs().square()
    return (10 * torch.log10(power.clamp(min=1e-12))).clamp(min=FLOOR_DB)


def peak_normalise(wave: np.ndarray) -> Tensor:
    """``wave`` [samples] without its mean and scaled to a peak of 1; digital silence stays 0."""
    centred = torch.as_tensor(np.asarray(wave, dtype=np.float32))
    centred = centred - centred.mean()
    return centred / centred.abs().max().clamp(min=1e-6)


def windows_of(wave: np.ndarray, sample_rate: int) -> Tensor:
    """Cut one mono clip into the windows [windows, samples] that the network judges.

    The clip is resampled to 16 kHz and peak-normalised. A short clip is padded with silence to
    one window; a long one gives overlapping windows that reach its end.
    """
    if wave.ndim != 1:
        raise ValueError(f"expected a mono clip [samples], got shape {wave.shape}")
    if sample_rate != SAMPLE_RATE:
        wave = soxr.resample(wave, sample_rate, SAMPLE_RATE)
    if len(wave) < MIN_SAMPLES:
        raise ValueError(f"expected at least 0.2 s of sound, got {len(wave) / SAMPLE_RATE:.3f} s")
    normal = peak_normalise(wave)
    count = 1 + max(0, math.ceil((len(normal) - WINDOW_SAMPLES) / WINDOW_HOP))
    starts = np.linspace(0, max(0, len(normal) - WINDOW_SAMPLES), count).astype(int)
    padded = functional.pad(normal, (0, max(0, WINDOW_SAMPLES - len(normal))))
    return torch.stack([padded[start : start + WINDOW_SAMPLES] for start in starts])


def load_dataset(roots: Sequence[Path], manifest: Path | None = None) -> Dataset:
    """Read every clip that the ``metadata.csv`` of ``roots`` names.

    Of a ``manifest``, whose paths begin with the name of a root, only the part to train on.
    """
    rows = [(root, row) for root in roots for row in read_rows(root)]
    if manifest:
        trained = trained_paths(manifest)
        rows = [(root, row) for root, row in rows if f"{root.name}/{row['path']}" in trained]
    classes = tuple(sorted({row["class"] for _, row in rows}))
    return Dataset(
        waves=torch.stack([load_clip(root / row["path"]) for root, row in rows]),
        labels=torch.tensor([classes.index(row["class"]) for _, row in rows]),
        folds=torch.tensor([int(row["fold"]) for _, row in rows]),
        classes=classes,
    )


def read_rows(root: Path) -> list[dict[str, str]]:
    """Rows of ``metadata.csv``."""
    with (root / "metadata.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trained_paths(manifest: Path) -> set[str]:
    """Paths of the lines of a manifest whose split is ``train``."""
    entries = map(json.loads, manifest.read_text(encoding="utf-8").splitlines())
    return {entry["path"] for entry in entries if entry.get("split", "train") == "train"}


def load_clip(path: Path) -> Tensor:
    """First five seconds [samples] of an audio file, mixed to mono and peak-normalised."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return windows_of(wave.mean(axis=1), rate)[0]


# --- Augmentation of log-mel batches [N, bands, frames] in dB --------------------------------


def uniform(shape: Sequence[int], low: float, high: float, rng: torch.Generator) -> Tensor:
    """Uniform random numbers of the given shape between ``low`` and ``high``."""
    return torch.rand(tuple(shape), generator=rng) * (high - low) + low


def shift_time(mels: Tensor, rng: torch.Generator) -> Tensor:
    """Rotate each clip in time by its own random number of frames."""
    count, bands, frames = mels.shape
    offsets = torch.randint(frames, (count, 1), generator=rng)
    index = (torch.arange(frames) + offsets) % frames
    return mels.gather(2, index[:, None].expand(count, bands, frames))


def warp(mels: Tensor, rng: torch.Generator) -> Tensor:
    """Change each clip's speed by up to 20 % and move its spectrum by up to four bands."""
    count = len(mels)
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = uniform([count], 0.8, 1.2, rng)
    maps[:, 1, 1] = uniform([count], 0.94, 1.06, rng)
    maps[:, 1, 2] = uniform([count], -0.06, 0.06, rng)
    grid = functional.affine_grid(maps, [count, 1, *mels.shape[1:]], align_corners=False)
    moved = functional.grid_sample(
        mels[:, None], grid, padding_mode="reflection", align_corners=False
    )
    return moved[:, 0]


def colour(mels: Tensor, rng: torch.Generator) -> Tensor:
    """Apply a random gain, a smooth random equaliser and, to a third of the clips, a low-pass."""
    count, bands, _ = mels.shape
    knots = uniform([count, 1, 5], -6, 6, rng)
    curve = functional.interpolate(knots, bands, mode="linear", align_corners=True)[:, 0]
    gain = uniform([count, 1], -6, 3, rng)
    cutoff = uniform([count, 1], 40, 3 * bands, rng).clamp(max=bands)
    slope = uniform([count, 1], 0.5, 4, rng)
    fall = slope * (torch.arange(bands) - cutoff).clamp(min=0)
    return (mels + (curve + gain - fall)[:, :, None]).clamp(min=FLOOR_DB)


def add_noise(mels: Tensor, rng: torch.Generator) -> Tensor:
    """Add tilted random noise between inaudible and 40 dB below full scale."""
    count, bands, _ = mels.shape
    level = uniform([count, 1], -110, -50, rng)
    tilt = uniform([count, 1], -10, 10, rng) * torch.linspace(-1, 1, bands)
    power = -torch.rand(mels.shape, generator=rng).clamp(min=1e-6).log()
    noise = 10 ** ((level + tilt) / 10)[:, :, None] * power
    return (10 * torch.log10(10 ** (mels / 10) + noise)).clamp(min=FLOOR_DB)


def gate(mels: Tensor, rng: torch.Generator, chance: float = 0.3) -> Tensor:
    """Silence some clips outside a random stretch of 20 % to 100 % around their loudest frame."""
    count, _, frames = mels.shape
    loudest = mels.mean(dim=1).argmax(dim=1, keepdim=True)
    length = uniform([count, 1], 0.2 * frames, frames, rng)
    start = loudest - length * uniform([count, 1], 0, 1, rng)
    time_index = torch.arange(frames)
    inside = (time_index >= start) & (time_index <= start + length)
    spared = torch.rand(count, 1, generator=rng) > chance
    return mels.masked_fill(~(inside | spared)[:, None], FLOOR_DB)


def mask(mels: Tensor, dim: int, widest: int, rng: torch.Generator) -> Tensor:
    """Fill a random stretch of up to ``widest`` bands (dim 1) or frames (dim 2) with the mean."""
    count, size = len(mels), mels.shape[dim]
    length = uniform([count, 1], 0, widest, rng)
    start = uniform([count, 1], 0, 1, rng) * (size - length)
    index = torch.arange(size)
    hidden = (index >= start) & (index < start + length)
    fill = mels.mean(dim=(1, 2), keepdim=True)
    return torch.where(hidden.unsqueeze(3 - dim), fill, mels)


def augment(mels: Tensor, rng: torch.Generator) -> Tensor:
    """A random variant of each clip of ``mels`` [N, bands, frames] in dB."""
    mels = warp(shift_time(gate(mels, rng), rng), rng)
    mels = add_noise(colour(mels, rng), rng)
    for _ in range(2):
        mels = mask(mask(mels, 1, 10, rng), 2, 30, rng)
    return mels


def mix_pairs(
    mels: Tensor, targets: Tensor, strength: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mixup: blend ``mels`` and ``targets`` [N, classes] with a shuffled copy of themselves.

    ``strength`` is the parameter of the symmetric beta distribution of the blending weights.
    """
    draws = np.random.default_rng(int(torch.randint(2**31, (), generator=rng)))
    weight = torch.as_tensor(draws.beta(strength, strength, len(mels)), dtype=torch.float32)
    order = torch.randperm(len(mels), generator=rng)
    wide, narrow = weight[:, None, None], weight[:, None]
    mixed = wide * mels + (1 - wide) * mels[order]
    return mixed, narrow * targets + (1 - narrow) * targets[order]


# --- Network -------------------------------------------------------------------------------


def layer(
    inputs: int, outputs: int, size: tuple[int, int], padding: int = 0, stride: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation and rectifier; ``size`` is in (bands, frames)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def block(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 layer that halves both axes."""
    return nn.Sequential(layer(inputs, outputs, (3, 3), padding=1), nn.MaxPool2d(2))


class Network(nn.Module):
    """Convolutional classifier of one log-mel window."""

    def __init__(self, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        first, last = CHANNELS[0], CHANNELS[-1]
        self.stem = layer(1, first, (5, 5), padding=2, stride=2)
        self.blocks = nn.Sequential(*(block(*pair) for pair in itertools.pairwise(CHANNELS)))
        self.across_bands = layer(last, last, (BANDS >> len(CHANNELS), 1))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * last, n_classes)

    def features(self, mels: Tensor) -> Tensor:
        """What the last layer receives, [N, 384], of ``mels`` [N, bands, frames] in dB."""
        scaled = ((mels[:, None] + 50) / 20).contiguous(memory_format=torch.channels_last)
        over_time = self.across_bands(self.blocks(self.stem(scaled)))[:, :, 0]
        return torch.cat([over_time.mean(dim=2), over_time.amax(dim=2)], dim=1)

    def forward(self, mels: Tensor) -> Tensor:
        """Logits [N, classes] of ``mels`` [N, bands, frames] in dB."""
        logits: Tensor = self.head(self.dropout(self.features(mels)))
        return logits


class Ensemble(nn.Module):
    """Networks of equal shape whose probabilities are averaged; ``classes`` are their names."""

    def __init__(self, members: Sequence[Network], classes: tuple[str, ...] = CLASSES) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.classes = classes

    def forward(self, mels: Tensor) -> Tensor:
        """Probabilities [N, classes] of ``mels`` [N, bands, frames] in dB."""
        return torch.stack([member(mels).softmax(dim=1) for member in self.members]).mean(dim=0)


# --- Training ------------------------------------------------------------------------------


def train_network(
    mels: Tensor, labels: Tensor, n_classes: int, recipe: Recipe, seed: int
) -> Network:
    """Train one network on ``mels`` [N, bands, frames] in dB with ``labels`` [N]."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = Network(n_classes).train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    per_epoch = len(mels) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.epochs * per_epoch
    )
    for _ in range(recipe.epochs):
        order = torch.randperm(len(mels), generator=rng)[: per_epoch * recipe.batch]
        for chosen in order.split(recipe.batch):
            loss = training_loss(network, mels[chosen], labels[chosen], recipe, rng)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    return network


def training_loss(
    network: Network, mels: Tensor, labels: Tensor, recipe: Recipe, rng: torch.Generator
) -> Tensor:
    """Mean cross-entropy of one augmented and mixed batch."""
    targets = functional.one_hot(labels, network.head.out_features).float()
    mixed, targets = mix_pairs(augment(mels, rng), targets, recipe.mixup, rng)
    # Without instructions for it bf16 is emulated, slower than fp32.
    halves = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with torch.autocast("cpu", torch.bfloat16, enabled=halves):
        logits = network(mixed)
    return functional.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)


def train_ensemble(
    waves: Tensor, labels: Tensor, classes: tuple[str, ...], recipe: Recipe
) -> Ensemble:
    """Train ``recipe.members`` networks on ``waves`` [N, samples], each from its own seed."""
    mels = log_mel(waves)
    seeds = range(recipe.seed, recipe.seed + recipe.members)
    members = [train_network(mels, labels, len(classes), recipe, seed) for seed in seeds]
    return Ensemble(members, classes).eval()


# --- Use -----------------------------------------------------------------------------------


def save_classifier(model: Ensemble, path: Path) -> None:
    """Write weights, class names and ensemble size as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"classes": json.dumps(model.classes), "members": str(len(model.members))}
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path, metadata=metadata)


def load_classifier(path: str | Path) -> Ensemble:
    """Read a classifier written by the ``train`` command, ready for :func:`classify`."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    classes = tuple(json.loads(metadata["classes"]))
    members = [Network(len(classes)) for _ in range(int(metadata["members"]))]
    model = Ensemble(members, classes)
    model.load_state_dict(state)
    return model.eval()


@torch.inference_mode()
def classify(
    model: Ensemble,
    waveforms: np.ndarray | Sequence[np.ndarray],
    sample_rate: int = SAMPLE_RATE,
) -> tuple[list[str], np.ndarray]:
    """Most likely class name of each mono clip, and all probabilities [N, classes].

    ``waveforms`` is an array [N, samples] or a sequence of arrays [samples] of at least 0.2 s at
    ``sample_rate`` Hz. Their level does not matter: each is peak-normalised. The columns of the
    probabilities follow ``model.classes``; a clip longer than 5 s has the mean over its windows.
    """
    rows = [judge(model, np.asarray(wave), sample_rate) for wave in waveforms]
    probabilities = np.stack(rows) if rows else np.zeros((0, len(model.classes)), np.float32)
    return [model.classes[index] for index in probabilities.argmax(axis=1)], probabilities


def judge(model: Ensemble, wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Class probabilities [classes] of one mono clip [samples]."""
    probabilities: Tensor = model(log_mel(windows_of(wave, sample_rate)))
    return probabilities.mean(dim=0).numpy()


# --- Resynthesis through a vocoder ---------------------------------------------------------


def resynthesise(waves: Tensor, iterations: int = 32, seed: int = 0) -> Tensor:
    """What is left of ``waves`` [N, samples] after a 64-band mel spectrum and Griffin-Lim."""
    bank = mel_filterbank()
    power = bank @ spectrum(waves).abs().square()
    magnitude = invert_mel(power, bank).sqrt()
    return griffin_lim(magnitude, waves.shape[-1], iterations, seed)


def invert_mel(power: Tensor, bank: Tensor, iterations: int = 50) -> Tensor:
    """Non-negative power spectrum [N, bins, frames] whose mel bands approach ``power``.

    Multiplicative least-squares updates from a flat start.
    """
    bins = bank.T @ power
    wanted, gram = bank.T @ power, bank.T @ bank
    for _ in range(iterations):
        bins = bins * wanted / (gram @ bins).clamp(min=1e-20)
    return bins


def griffin_lim(magnitude: Tensor, samples: int, iterations: int, seed: int) -> Tensor:
    """Waves [N, samples] whose spectrum approaches ``magnitude`` [N, bins, frames]."""
    rng = torch.Generator().manual_seed(seed)
    phases = torch.polar(magnitude, uniform(magnitude.shape, 0, 2 * math.pi, rng))
    window = torch.hann_window(FRAME_SAMPLES)
    for _ in range(iterations):
        waves = torch.istft(phases, N_FFT, FRAME_HOP, FRAME_SAMPLES, window=window, length=samples)
        phases = torch.polar(magnitude, spectrum(waves).angle())
    return waves


# --- Cross-validation ----------------------------------------------------------------------


def wilson_interval(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval (95 % by default) of the proportion ``hits`` / ``count``."""
    share, weight = hits / count, z * z / count
    centre = share + weight / 2
    spread = z * math.sqrt((share * (1 - share) + weight / 4) / count)
    return (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)


def held_out_predictions(
    data: Dataset, fold: int, recipe: Recipe, vocoded: Tensor | None
) -> dict[str, np.ndarray]:
    """Train without ``fold`` and return predicted class indices of its clips.

    The key ``real`` holds those of the recordings, ``resynthesised`` those of ``vocoded``
    [N, samples], which is all of ``data.waves`` after resynthesis.
    """
    held = data.folds == fold
    model = train_ensemble(data.waves[~held], data.labels[~held], data.classes, recipe)
    sources = {"real": data.waves} | ({} if vocoded is None else {"resynthesised": vocoded})
    return {
        name: classify(model, waves[held].numpy())[1].argmax(axis=1)
        for name, waves in sources.items()
    }


def score(labels: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy with interval, accuracy per class and confusion matrix (rows: true class)."""
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (labels, predictions), 1)
    hits, count = int(confusion.trace()), len(labels)
    recall = confusion.diagonal() / confusion.sum(axis=1)
    return {
        "n": count,
        "correct": hits,
        "accuracy": hits / count,
        "wilson_95": wilson_interval(hits, count),
        "per_class_accuracy": dict(zip(classes, recall.tolist(), strict=True)),
        "confusion": confusion.tolist(),
    }


def cross_validate(data: Dataset, recipe: Recipe, resynthesis: bool) -> dict[str, Any]:
    """Leave-one-fold-out scores of the recipe, pooled over all clips and for each fold."""
    started = time.perf_counter()
    vocoded = None
    if resynthesis:
        vocoded = torch.cat([resynthesise(waves) for waves in data.waves.split(16)])
    labels, folds = data.labels.numpy(), data.folds.numpy()
    predictions: dict[str, np.ndarray] = {}
    by_fold: dict[str, float] = {}
    for fold in np.unique(folds).tolist():
        for name, found in held_out_predictions(data, fold, recipe, vocoded).items():
            predictions.setdefault(name, np.zeros_like(labels))[folds == fold] = found
        hits = predictions["real"] == labels
        by_fold[str(fold)] = float(hits[folds == fold].mean())
        print(f"fold {fold}: {by_fold[str(fold)]:.3f}", flush=True)
    scores = {name: score(labels, found, data.classes) for name, found in predictions.items()}
    return {
        "classes": data.classes,
        "recipe": asdict(recipe),
        **scores,
        "accuracy_by_fold": by_fold,
        "seconds": time.perf_counter() - started,
    }


# --- Command line --------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    """Options of the two commands."""
    parser = argparse.ArgumentParser(description="Independent classifier of ESC sounds.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train on every recording and save the weights")
    train.add_argument("--out", type=Path, default=Path("build/classifier.safetensors"))
    check = commands.add_parser("cross-validate", help="leave one fold out, for each fold")
    check.add_argument("--out", type=Path, default=Path("build/classifier_cv.json"))
    check.add_argument("--resynthesis", action="store_true", help="also judge vocoded clips")
    for command in (train, check):
        command.add_argument("--data", type=Path, nargs="+", default=[Path("../shared/data/esc10")])
        command.add_argument("--manifest", type=Path, help="only the clips that it trains on")
        command.add_argument("--epochs", type=int, default=Recipe.epochs)
        command.add_argument("--members", type=int, default=Recipe.members)
        command.add_argument("--seed", type=int, default=Recipe.seed)
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def print_scores(name: str, scores: dict[str, Any]) -> None:
    """Show the accuracy, its interval, every class and the confusion matrix."""
    low, high = scores["wilson_95"]
    print(f"{name}: {scores['accuracy']:.3f} of n={scores['n']} (95 % {low:.3f}-{high:.3f})")
    rows = zip(scores["per_class_accuracy"].items(), scores["confusion"], strict=True)
    for (label, accuracy), counts in rows:
        print(f"  {label:15s} {accuracy:.3f} " + "".join(f"{count:4d}" for count in counts))


def main() -> None:
    """Run the chosen command."""
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    recipe = Recipe(epochs=options.epochs, members=options.members, seed=options.seed)
    data = load_dataset(options.data, options.manifest)
    if options.command == "train":
        save_classifier(train_ensemble(data.waves, data.labels, data.classes, recipe), options.out)
        return
    report = cross_validate(data, recipe, options.resynthesis)
    for name in ("real", "resynthesised"):
        if name in report:
            print_scores(name, report[name])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
