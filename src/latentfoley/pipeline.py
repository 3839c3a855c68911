"""Text → waveform, in the order of the data.

    text ─► CLAP ─► E ─► sampler with guidance ─► z_0 ─► VAE decoder ─► log-mel ─► vocoder ─► sound

Reading path: this file first, then those that README.md lists. It holds no mathematics: it calls
the others, one after another, for generations and for edits alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from latentfoley.audio import require_finite
from latentfoley.circle import LoopedGeneration
from latentfoley.clip import Clip, record_of
from latentfoley.diffusion import GUIDED_SIGMAS, guided, guided_between
from latentfoley.editing import prepare
from latentfoley.editing.request import EditRequest
from latentfoley.finishing import finish
from latentfoley.levels import FAINT_LUFS, loudness
from latentfoley.loudness import at_loudness
from latentfoley.model import ModelParts, latent_shape
from latentfoley.notation import Embedding, Latent
from latentfoley.options import EditOptions, GenerationOptions
from latentfoley.pages import give_back
from latentfoley.progress import Progress
from latentfoley.request import GenerationRequest, Prompt, SamplingRequest, parse_blend
from latentfoley.samplers import make_plan, sample
from latentfoley.sampling import (
    Callback,
    Generation,
    Samples,
    SamplingMode,
    SamplingRun,
    clip_generator,
)
from latentfoley.windows import jointly

BATCH_SIZE = 8  # clips denoised together on an accelerator: bounds memory

Job = tuple[int, SamplingRequest, int]
"""(prompt, request of its clip alone, candidate) of one sound."""


class Model(ModelParts):
    """A loaded model, and the way through its parts. Make one with `load`."""

    def generate(
        self, prompt: Prompt | Sequence[Prompt] | None = None, **options: Unpack[GenerationOptions]
    ) -> list[Clip]:
        """Return the sounds asked for; see `GenerationRequest` for every option.

        Raises:
            InputError: an option that is unknown or out of range.
            AudioFileError: the audio prompt cannot be read.

        Example:
            >>> load("tiny").generate("a dog barking", seed=7)[0].save("dog.wav")
        """
        return list(self.run(GenerationRequest.build(prompt, **options)))

    def edit(
        self,
        kind: str,
        source: str | Path,
        prompt: Prompt | Sequence[Prompt] | None = None,
        **options: Unpack[EditOptions],
    ) -> list[Clip]:
        """Return a recording edited; see `EditRequest` for every kind and option.

        Raises:
            InputError: an option that is unknown, out of range, or not this kind's.
            AudioFileError: the recording cannot be read.

        Example:
            >>> load("tiny").edit("transfer", "violin.wav", "a dog barking", strength=0.6)
        """
        return list(self.run(EditRequest.build(kind, source, prompt, **options)))

    def run(
        self, request: GenerationRequest | EditRequest, progress: Progress | None = None
    ) -> Iterator[Clip]:
        """Yield each clip of a request as soon as it is done.

        Raises:
            InputError: a setting that does not fit the recording that is edited.
            AudioFileError: a recording cannot be read.
        """
        if isinstance(request, EditRequest):
            return self.make(prepare(self, request), progress)
        return self.make(self._generation(request), progress)

    def run_together(self, requests: Sequence[GenerationRequest]) -> Iterator[Clip]:
        """Yield the clip of each request, denoised in the same batches.

        Args:
            requests: of one prompt and one clip each, which differ in prompt, seed and index alone.
        """
        prompts = tuple(prompt for request in requests for prompt in request.prompts)
        whole = requests[0].model_copy(update={"prompts": prompts})
        return self.make(self._generation(whole), clips=requests)

    def _generation(self, request: GenerationRequest) -> SamplingMode:
        rate = self.config.mel.sample_rate
        n_samples = round(request.duration_s * rate)
        if request.loop:
            return LoopedGeneration.of(request, n_samples, self.config)
        return Generation(request, n_samples)

    def make(
        self,
        mode: SamplingMode,
        progress: Progress | None = None,
        clips: Sequence[SamplingRequest] | None = None,
    ) -> Iterator[Clip]:
        """Yield each clip of a mode as soon as it is done; `clips` are the requests of each."""
        request = mode.request
        alone = clips or [request.clip(k) for k in range(request.n_clips)]
        if request.candidates > 1:
            _ = self.audio  # a model without one says so now, not after the first clip
        E = self.embed_prompts(request)  # (prompts, D)
        far = [self.far([text for text, _ in parse_blend(p)]) for p in request.prompts] or [None]
        E_uncond = self.text.embed([request.led_away_from])
        give_back(self.text.model.parameters())
        jobs = [
            (k // request.n, clip, request.candidate + c)
            for k, clip in enumerate(alone)
            for c in range(request.candidates)
        ]
        size = self.batch_size
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
        made: list[tuple[Job, Samples]] = []
        for b, batch in enumerate(batches):

            def callback(done: int, steps: int, z: Latent, before: int = b) -> None:
                if progress is not None:
                    progress(before * steps + done, len(batches) * steps)

            E_batch = E[[prompt for prompt, _, _ in batch]]
            sounds = self._sounds(mode, E_batch, E_uncond, batch, callback)
            made += zip(batch, sounds, strict=True)
            while len(made) >= request.candidates:
                some, made = made[: request.candidates], made[request.candidates :]
                yield replace(self._best(E, some), far=far[some[0][0][0]])

    @property
    def batch_size(self) -> int:
        """Clips denoised together.

        One on a CPU: its kernels round differently by batch, and a clip must not change by a bit
        with the other clips in the batch. See docs/decisions/0006.
        """
        return 1 if self.device.type == "cpu" else BATCH_SIZE

    def embed_prompts(self, request: SamplingRequest) -> Embedding:
        """Return E of each prompt, or of the audio prompt."""
        if request.audio_prompts:
            return self.embed_recordings(request.audio_prompts)[None]
        return torch.stack([self.embed(parse_blend(prompt)) for prompt in request.prompts])

    @torch.no_grad()
    def _sounds(
        self,
        mode: SamplingMode,
        E: Embedding,
        E_uncond: Embedding,
        batch: Sequence[Job],
        callback: Callback,
    ) -> list[Samples]:
        """Noise → latent → log-mel → waveform for one batch."""
        request = mode.request
        shape = latent_shape(mode.n_samples, self.config)
        generators = [clip_generator(clip.seed, clip.index, c) for _, clip, c in batch]

        def noise() -> Latent:
            return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(E)

        plan = make_plan(
            request.sampler, self.schedule, request.steps, spacing=request.spacing, eta=request.eta
        )
        denoiser = guided(self.denoiser, E, E_uncond, request.guidance)
        if request.fast:
            plain = guided(self.denoiser, E, E_uncond, 1)
            denoiser = guided_between(GUIDED_SIGMAS, self.schedule, denoiser, plain)
        denoiser = jointly(denoiser, self.window)
        run = mode.enter(SamplingRun(denoiser, noise(), plan, noise, callback))
        z_0 = run.start  # (B, C, T/r, F/r)
        if run.plan is not None:
            z_0 = sample(
                run.denoiser, z_0, run.plan, noise, after_step=run.after_step, callback=run.callback
            )
        log_mel = self.decode(run.to_decoder(z_0))  # (B, 1, T, F)
        waveforms = self.vocode(log_mel).float().cpu().numpy()  # (B, N) and a little more
        for waveform in waveforms:
            require_finite(waveform, self.name)
        finished = [mode.finish(waveform) for waveform in waveforms]
        if not isinstance(request, GenerationRequest):
            return finished  # an edit has the level of what it edits
        wanted = self.loudness(E) if self.loudness else [None] * len(finished)
        rate = self.config.mel.sample_rate
        return [
            at_loudness(waveform, rate, lufs, loop=request.loop)
            for waveform, lufs in zip(finished, wanted, strict=True)
        ]

    def _best(self, E: Embedding, made: list[tuple[Job, Samples]]) -> Clip:
        """Return the candidate whose sound is nearest to E, finished; of one, that one. A faint
        one is taken only where all are."""
        scores: list[tuple[bool, float] | None] = [None]
        if len(made) > 1:
            scores = [self._rank(x, E[p]) for (p, _, _), x in made]
        rank, ((_, asked, candidate), waveform) = max(
            zip(scores, made, strict=True), key=lambda pair: pair[0] or (False, 0.0)
        )
        record = record_of(self, asked, candidate, len(waveform))
        rate = self.config.mel.sample_rate
        finished = finish(waveform, rate, asked, loop=asked.loops)
        return Clip(finished, self.config.mel, record, rank and rank[1])

    def _rank(self, waveform: Samples, E: Float[Tensor, "D"]) -> tuple[bool, float]:
        """Return whether there is anything to hear, and the cosine to E: CLAP likes silence."""
        rate = self.config.mel.sample_rate
        return loudness(waveform, rate) >= FAINT_LUFS, float(self.audio.embed(waveform, rate) @ E)
