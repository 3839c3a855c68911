"""Text → waveform, in the order of the data.

    text ─► CLAP ─► E ─► sampler with guidance ─► z_0 ─► VAE decoder ─► log-mel ─► vocoder ─► sound

Reading path: this file first, then `clap.py`, `samplers.py`, `diffusion.py`, `unet.py`, `vae.py`,
`vocoder.py`. It holds no mathematics: it calls the others, one after another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentfoley.audio import read_audio, require_sound
from latentfoley.checkpoints.compat import Compat
from latentfoley.checkpoints.tensors import hash_weights
from latentfoley.circle import LoopedGeneration
from latentfoley.clap import AudioTower, TextTower
from latentfoley.clip import Clip
from latentfoley.config import ModelConfig
from latentfoley.devices import dtype_name
from latentfoley.diffusion import ConditionalDenoiser, Schedule, from_velocity, guided, in_precision
from latentfoley.griffin_lim import griffin_lim
from latentfoley.notation import Embedding, Latent, LogMel, Waveform
from latentfoley.provenance import Guide, Lora, Provenance
from latentfoley.request import GenerationRequest, Prompt, SamplingRequest, parse_blend
from latentfoley.samplers import SAMPLERS, make_plan
from latentfoley.task import Generation, Samples, Task, Walk
from latentfoley.unet import Unet
from latentfoley.vae import Vae
from latentfoley.vocoder import Vocoder
from latentfoley.windows import WINDOW_S, in_chunks, in_windows, jointly

BATCH_SIZE = 8  # clips denoised together on an accelerator: bounds memory

Progress = Callable[[int, int], None]
"""Called as (denoising steps done, steps in all)."""


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: its parts, and the way through them. Make one with `load`."""

    name: str
    folder: Path
    config: ModelConfig
    text: TextTower
    unet: Unet
    vae: Vae
    vocoder: Vocoder
    compat: Compat = "trained"
    window_s: float = WINDOW_S
    lora: Lora | None = None

    @cached_property
    def audio(self) -> AudioTower:
        """CLAP's audio tower, read when first needed."""
        tower = AudioTower.load(self.folder)
        tower.model.to(self.device)
        return tower

    @cached_property
    def weights_hash(self) -> str:
        """What provenance knows the weights by; every file is read for it, once."""
        return hash_weights(self.folder)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.unet.conv_in.weight.device

    @property
    def batch_size(self) -> int:
        """Clips denoised together.

        One on a CPU: its kernels round differently by batch, and a clip must not change by a bit
        with its company. See docs/decisions/0006.
        """
        return 1 if self.device.type == "cpu" else BATCH_SIZE

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule it was trained with."""
        return Schedule(**self.config.schedule.model_dump(exclude={"prediction"}))

    @property
    def denoiser(self) -> ConditionalDenoiser:
        """ε_θ, whatever the network predicts."""
        network = in_precision(self.unet, self.unet.conv_in.weight.dtype)
        if self.config.schedule.prediction == "v_prediction":
            return from_velocity(network, self.schedule)
        return network

    def generate(
        self, prompt: Prompt | Sequence[Prompt] | None = None, **options: Any
    ) -> list[Clip]:
        """Return the sounds asked for; see `GenerationRequest` for every option.

        Raises:
            InputError: an option that is unknown or out of range.
            AudioFileError: the recording to be like cannot be read.

        Example:
            >>> load("tiny").generate("a dog barking", seed=7)[0].save("dog.wav")
        """
        return list(self.run(GenerationRequest.build(prompt, **options)))

    def edit(
        self,
        kind: str,
        source: str | Path,
        prompt: Prompt | Sequence[Prompt] | None = None,
        **options: Any,
    ) -> list[Clip]:
        """Return a recording edited; see `EditRequest` for every kind and option.

        Raises:
            InputError: an option that is unknown, out of range, or not this kind's.
            AudioFileError: the recording cannot be read.

        Example:
            >>> load("tiny").edit("transfer", "violin.wav", "a dog barking", strength=0.6)
        """
        from latentfoley.editing import EditRequest, run  # late: editing builds on this file

        return list(run(self, EditRequest.build(kind, source, prompt, **options)))

    def run(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Clip]:
        """Yield each clip of a request as soon as it is done."""
        n_samples = round(request.duration_s * self.config.mel.sample_rate)
        task: Task = Generation(n_samples)
        if request.loop:
            task = LoopedGeneration.of(n_samples, self.config)
        return self.make(request, task, progress)

    def make(
        self, request: SamplingRequest, task: Task, progress: Progress | None = None
    ) -> Iterator[Clip]:
        """Yield each clip of a task as soon as it is done."""
        if request.candidates > 1:
            _ = self.audio  # a model without one says so now, not after the first clip
        E = self.embed(request)  # (prompts, D)
        E_uncond = self.text.embed([request.away])
        jobs = [
            (k // request.n, request.index + k, request.candidate + c)
            for k in range(request.n_clips)
            for c in range(request.candidates)
        ]
        size = self.batch_size
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
        made: list[Any] = []
        for b, batch in enumerate(batches):

            def tick(done: int, steps: int, z: Latent, before: int = b) -> None:
                if progress is not None:
                    progress(before * steps + done, len(batches) * steps)

            E_batch = E[[prompt for prompt, _, _ in batch]]
            sounds = self._sounds(request, task, E_batch, E_uncond, batch, tick)
            made += zip(batch, sounds, strict=True)
            while len(made) >= request.candidates:
                some, made = made[: request.candidates], made[request.candidates :]
                yield self._best(request, task, E, some)

    def embed(self, request: SamplingRequest) -> Embedding:
        """Return E of each prompt, or of the recording to be like."""
        if request.guides:
            E = torch.stack([weight * self.hear(path) for path, weight in request.guides])
            return F.normalize(E.sum(dim=0), dim=0)[None]
        return torch.cat([self._embed_blend(prompt) for prompt in request.prompts])

    def hear(self, path: Path) -> Float[Tensor, "D"]:
        """Return E of a recording."""
        recording = read_audio(path, sample_rate=self.config.mel.sample_rate)
        require_sound(recording.waveform, f"{path}")
        return self.audio.embed(recording.waveform, recording.sample_rate)

    def _embed_blend(self, prompt: str) -> Embedding:
        texts, weights = zip(*parse_blend(prompt), strict=True)
        E = torch.tensor(weights, device=self.device) @ self.text.embed(list(texts))
        return F.normalize(E, dim=0)[None]

    @torch.no_grad()
    def _sounds(
        self,
        request: SamplingRequest,
        task: Task,
        E: Embedding,
        E_uncond: Embedding,
        batch: Sequence[tuple[int, int, int]],
        tick: Callable[[int, int, Latent], None],
    ) -> list[Samples]:
        """Noise → latent → log-mel → waveform for one batch of (prompt, index, candidate)."""
        shape = latent_shape(task.n_samples, self.config)
        generators = [clip_generator(request.seed, k, c) for _, k, c in batch]

        def noise() -> Latent:
            return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(E)

        plan = make_plan(
            request.sampler, self.schedule, request.steps, spacing=request.spacing, eta=request.eta
        )
        denoiser = jointly(guided(self.denoiser, E, E_uncond, request.guidance), self.window)
        z_0 = task.latent(Walk(denoiser, plan, noise, tick))  # (B, C, T/r, F/r)
        log_mel = self.decode(z_0)  # (B, 1, T, F)
        waveforms = self.vocode(log_mel).float().cpu().numpy()  # (B, N) and a little more
        return [task.finish(waveform) for waveform in waveforms]

    @property
    def window(self) -> int:
        """Latent frames that the UNet and the VAE see at once."""
        frames_per_s = self.config.mel.sample_rate / self.config.mel.hop_length
        return max(4, round(self.window_s * frames_per_s / self.config.vae.compression))

    def decode(self, z_0: Latent) -> LogMel:
        """Return the log-mels of latents of any length."""
        units = (1, self.config.vae.compression)
        return in_windows(self.vae.decode, z_0, window=self.window, units=units)

    def vocode(self, log_mel: LogMel) -> Waveform:
        """Return the waveforms of log-mels of any length, hop · T samples."""
        mel, iterations = self.config.mel, self.config.phase_iterations
        # Every iteration goes from frames to samples and back.
        mending = (iterations + 1) * -(-mel.n_fft // mel.hop_length) if iterations else 0
        reach = self.vocoder.reach + mending
        units = (1, mel.hop_length)
        return in_chunks(self._vocode, log_mel, dims=(2, 1), units=units, reach=reach)

    def _vocode(self, log_mel: LogMel) -> Waveform:
        """Return the waveforms, their phases mended where the model asks for it."""
        waveforms: Waveform = self.vocoder(log_mel)
        iterations = self.config.phase_iterations
        if iterations == 0:
            return waveforms
        return griffin_lim(log_mel, self.config.mel, iterations=iterations, start=waveforms)

    def _best(self, request: SamplingRequest, task: Task, E: Embedding, made: list[Any]) -> Clip:
        """Return the candidate whose sound is nearest to E; without candidates, the only one."""
        scores: list[float | None] = [None]
        if len(made) > 1:
            rate = self.config.mel.sample_rate
            scores = [float(self.audio.embed(x, rate) @ E[p]) for (p, _, _), x in made]
        score, ((prompt, index, candidate), waveform) = max(
            zip(scores, made, strict=True), key=lambda pair: pair[0] or 0.0
        )
        provenance = self._provenance(request, task, prompt, index, candidate)
        return Clip(waveform, self.config.mel, provenance, score)

    def _provenance(
        self, request: SamplingRequest, task: Task, prompt: int, index: int, candidate: int
    ) -> Provenance:
        return Provenance(
            kind=task.edit.kind if task.edit else "generation",
            edit=task.edit,
            prompt=request.prompts[prompt] if request.prompts else "",
            like=Guide.of(request.like) if request.like else None,
            duration_s=task.n_samples / self.config.mel.sample_rate,
            index=index,
            candidate=candidate,
            spacing=request.spacing or SAMPLERS[request.sampler].spacing,
            model=self.name,
            model_hash=self.weights_hash,
            dtype=dtype_name(self.unet.conv_in.weight.dtype),
            compat=self.compat,
            lora=self.lora,
            **request.model_dump(include=_RECORDED),
        )


_RECORDED = {"negative_prompt", "seed", "sampler", "steps", "eta", "guidance", "loop"}


def latent_shape(n_samples: int, config: ModelConfig) -> tuple[int, int, int]:
    """Return (C, T/r, F/r) of the shortest latent that covers `n_samples` samples."""
    samples_per_latent = config.mel.hop_length * config.vae.compression
    bands = config.mel.n_mels // config.vae.compression
    return config.vae.latent_channels, -(-n_samples // samples_per_latent), bands


def clip_generator(seed: int, index: int, candidate: int) -> torch.Generator:
    """Return the one source of randomness of a clip; on the CPU, so that it is so everywhere."""
    # Four words of 32 bits: written as one number, a long seed would run into the index.
    words = [seed & (2**32 - 1), seed >> 32, index, candidate]
    (state,) = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))
