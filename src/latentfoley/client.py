"""A model behind a server, used like a loaded one.

    from latentfoley import Client

    with Client("http://127.0.0.1:8321") as model:
        model.generate("a dog barking", seed=7)[0].save("dog.wav")

Every request carries an idempotency key, so that repeating it after a lost connection or a full
queue runs nothing twice. Clips come as the 16-bit samples that the command line writes.
"""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, Unpack

from latentfoley.audio import read_audio
from latentfoley.clip import Clip
from latentfoley.config import MelConfig
from latentfoley.containers import open_file
from latentfoley.editing.request import SETTINGS, EditRequest
from latentfoley.errors import InputError, LatentFoleyError, MissingExtraError
from latentfoley.options import EditOptions, GenerationOptions
from latentfoley.provenance import Provenance
from latentfoley.request import GenerationRequest, Prompt

if TYPE_CHECKING:
    import httpx2

    from latentfoley.progress import Progress

_RECORDINGS = ("source", "other", "audio_prompt")
_LONGEST_PAUSE_S = 30.0


class ServerError(LatentFoleyError):
    """The server cannot be reached, or could not do what it was asked."""


class Client:
    """A connection to `latentfoley serve`.

    Args:
        url: of the server, for example "http://127.0.0.1:8321".
        token: one of the server's; None where it has none.
        patience_s: how long a full queue or a lost connection is waited for.

    Raises:
        InputError: a token with characters that no header holds.
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(self, url: str, token: str | None = None, *, patience_s: float = 600.0) -> None:
        try:
            import httpx2
        except ModuleNotFoundError:
            raise MissingExtraError(
                "Client needs httpx2: pip install 'latentfoley[serve]'"
            ) from None
        if token and not token.isascii():
            raise InputError("a token is plain ASCII; this one has other characters")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30.0)
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; leaving a `with` does it too."""
        self._http.close()

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt] | None = None,
        *,
        progress: "Progress | None" = None,
        **options: Unpack[GenerationOptions],
    ) -> list[Clip]:
        """Return the sounds asked for; see `GenerationRequest` for every option.

        Raises:
            InputError: an option that is unknown or out of range, here or by the server's limits.
            ServerError: the server could not do it.
        """
        return list(self.run(GenerationRequest.build(prompt, **options), progress))

    def edit(
        self,
        kind: str,
        source: str | Path,
        prompt: Prompt | Sequence[Prompt] | None = None,
        *,
        progress: "Progress | None" = None,
        **options: Unpack[EditOptions],
    ) -> list[Clip]:
        """Return a recording edited; see `EditRequest` for every kind and option.

        Raises:
            InputError: an option that is not allowed, or a recording that the server cannot use.
            AudioFileError: there is no such file, or it cannot be opened.
            ServerError: the server could not do it.
        """
        return list(self.run(EditRequest.build(kind, source, prompt, **options), progress))

    def run(
        self, request: GenerationRequest | EditRequest, progress: "Progress | None" = None
    ) -> Iterator[Clip]:
        """Yield the clips of a request; `progress` is called with steps done and steps in all."""
        job = self._submit(request)
        job = self._follow(job["id"], progress)
        if job["state"] != "done":
            raise ServerError(
                f"the job was {job['state']}: {job.get('problem', 'nobody said why')}"
            )
        (model,) = self._get("/v1/models").json()["data"]
        mel = MelConfig.model_validate(model["mel"])
        for sound in job["sounds"]:
            yield self._clip(sound, mel)

    def _submit(self, request: GenerationRequest | EditRequest) -> dict[str, Any]:
        """Have a request accepted, once, however often it is sent."""
        key, body = uuid.uuid4().hex, json.dumps(_body(request))
        files = {part: getattr(request, part, None) for part in _RECORDINGS}

        def send() -> "httpx2.Response":
            with ExitStack() as stack:
                form: dict[str, Any] = {"request": (None, body)}
                for part, path in files.items():
                    if path is not None:
                        form[part] = (path.name, stack.enter_context(open_file(path)))
                return self._http.post("/v1/jobs", files=form, headers={"Idempotency-Key": key})

        return dict(self._patiently(send).json())

    def _follow(self, job_id: str, progress: "Progress | None") -> dict[str, Any]:
        """Return a job when it has ended."""
        while True:
            job: dict[str, Any] = self._get(f"/v1/jobs/{job_id}").json()
            if job["state"] not in ("queued", "running"):
                return job
            self._listen(job_id, progress)

    def _listen(self, job_id: str, progress: "Progress | None") -> None:
        """Follow the events of a job until the stream ends, or breaks."""
        import httpx2

        try:
            with self._http.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
                if stream.status_code != 200:  # as many streams as the server has: ask again
                    time.sleep(1.0)
                    return
                for line in stream.iter_lines():
                    told = json.loads(line[6:]) if line.startswith("data: ") else {}
                    if progress is not None and told.get("step"):
                        progress(told["step"], told["steps"])
        except httpx2.TransportError:
            time.sleep(0.5)

    def _clip(self, sound: dict[str, Any], mel: MelConfig) -> Clip:
        record = Provenance.model_validate(self._get(sound["record"]).json()["provenance"])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "clip.wav"
            path.write_bytes(self._get(sound["audio"]).content)
            waveform = read_audio(path, sample_rate=None).waveform
        return Clip(waveform, mel, record, sound.get("score"))

    def _get(self, path: str) -> "httpx2.Response":
        return self._patiently(lambda: self._http.get(path))

    def _patiently(self, send: Any) -> "httpx2.Response":
        """Send until there is an answer that is not "later".

        Raises:
            InputError: the server says what is wrong with the request.
            ServerError: any other refusal, or no answer for as long as patience lasts.
        """
        import httpx2

        until, pause_s = time.monotonic() + self._patience_s, 0.25
        while True:
            try:
                answer: httpx2.Response = send()
                why = _problem(answer)
            except httpx2.TransportError as error:
                answer, why = httpx2.Response(503), f"no answer from the server ({error})"
            if answer.is_success:
                return answer
            if answer.status_code not in (429, 503) or time.monotonic() + pause_s > until:
                wrong = answer.status_code in (400, 413, 415, 422)
                raise InputError(why) if wrong else ServerError(why)
            time.sleep(float(answer.headers.get("Retry-After", pause_s)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _body(request: GenerationRequest | EditRequest) -> dict[str, Any]:
    """Return a request as the server takes it; recordings are sent beside it."""
    values = request.model_dump(mode="json", exclude={"prompts", *_RECORDINGS})
    if isinstance(request, EditRequest):
        other_kinds = {name for settings in SETTINGS.values() for name in settings}
        other_kinds -= set(SETTINGS[request.kind])
        values = {name: value for name, value in values.items() if name not in other_kinds}
    values = {name: value for name, value in values.items() if value is not None}
    return values | ({"prompt": list(request.prompts)} if request.prompts else {})


def _problem(answer: "httpx2.Response") -> str:
    """Return what the server says is wrong."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}"
