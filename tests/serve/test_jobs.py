"""A server with a model: jobs from request to sound, events, formats, edits, cancelling."""

import asyncio
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import latentfoley
from latentfoley.audio import write_audio
from latentfoley.errors import AudioFileError, InputError
from servers import finished, until
from signals import noise

ASKED = {"prompt": "a dog barking", "duration_s": 0.5, "steps": 3, "seed": 7}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "some noise.wav"
    write_audio(path, noise(1.0), 16_000, provenance=None)
    return path


@pytest.fixture(scope="module")
def done(http):
    job = http.post("/v1/jobs", json=ASKED).json()
    return finished(http, job["id"])


def form(body, **files):
    parts = {"request": (None, json.dumps(body))}
    return parts | {name: (path.name, path.read_bytes()) for name, path in files.items()}


def samples(answer):
    waveform, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == 16_000
    return waveform


class TestGeneration:
    def test_is_accepted_at_once_and_ends_done(self, http):
        answer = http.post("/v1/jobs", json=ASKED)
        assert answer.status_code == 202
        job = answer.json()
        assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
        assert job["state"] in ("queued", "running") and job["sounds"] == []
        job = finished(http, job["id"])
        assert job["state"] == "done" and len(job["sounds"]) == 1

    def test_makes_the_samples_of_the_command_line(self, http, done, micro_model_folder, tmp_path):
        words = ["generate", ASKED["prompt"], "--duration", 0.5, "--steps", 3, "--seed", 7]
        words += ["--model", micro_model_folder, "--device", "cpu", "-o", tmp_path / "one.wav"]
        command = [sys.executable, "-m", "latentfoley", *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        expected, _ = soundfile.read(tmp_path / "one.wav", dtype="int16")
        assert np.array_equal(samples(http.get(done["sounds"][0]["audio"])), expected)

    def test_names_its_identity(self, http, done, micro_model):
        (clip,) = micro_model.generate(ASKED["prompt"], duration_s=0.5, steps=3, seed=7)
        assert done["sounds"][0]["identity"] == clip.provenance.identity

    def test_of_several_clips(self, http):
        body = {**ASKED, "prompt": ["rain", "wind"], "n": 2}
        job = finished(http, http.post("/v1/jobs", json=body).json()["id"])
        assert job["n_clips"] == len(job["sounds"]) == 4
        clips = [samples(http.get(sound["audio"])) for sound in job["sounds"]]
        assert len({clip.tobytes() for clip in clips}) == 4

    def test_is_listed(self, http, done):
        jobs = http.get("/v1/jobs", params={"limit": 100}).json()["jobs"]
        assert done["id"] in [job["id"] for job in jobs]
        created = [job["created"] for job in jobs]
        assert created == sorted(created, reverse=True)


class TestEdit:
    def test_keeps_what_lies_outside_of_a_span(self, http, recording):
        body = {"kind": "inpaint", "prompt": "rain", "spans": [[0.4, 0.6]], "steps": 2}
        job = http.post("/v1/jobs", files=form(body, source=recording)).json()
        job = finished(http, job["id"])
        edited = samples(http.get(job["sounds"][0]["audio"]))
        kept = http.get(f"/v1/jobs/{job['id']}/recording", params={"part": "source"})
        assert kept.content == recording.read_bytes()
        source, _ = soundfile.read(recording, dtype="int16")
        fade = 320
        assert np.array_equal(edited[: 6400 - fade], source[: 6400 - fade])
        assert np.array_equal(edited[9600 + fade :], source[9600 + fade :])
        assert not np.array_equal(edited[6400:9600], source[6400:9600])

    def test_keeps_the_recordings_name_and_no_folder(self, http, recording):
        body = {"kind": "vary", "steps": 2}
        parts = form(body)
        parts["source"] = ("../../etc/some noise.wav", recording.read_bytes())
        job = finished(http, http.post("/v1/jobs", files=parts).json()["id"])
        record = http.get(job["sounds"][0]["record"]).json()
        assert record["provenance"]["edit"]["source"]["file"] == "some noise.wav"
        assert record["command"].startswith("latentfoley edit vary 'some noise.wav'")

    def test_of_two_recordings(self, http, recording):
        body = {"kind": "morph", "steps": 2, "mix": 0.3}
        parts = form(body, source=recording, other=recording)
        job = finished(http, http.post("/v1/jobs", files=parts).json()["id"])
        assert job["state"] == "done"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "'a.wav' is empty (0 bytes)"),
            (b"hello, this is text", "'a.wav' is not a recording that can be read here"),
            (b"RIFF\xff\xff\xff\x7fWAVE", "'a.wav' begins like WAV but cannot be decoded"),
        ],
    )
    def test_of_what_is_no_sound_is_refused_with_a_sentence(self, http, content, said):
        parts = form({"kind": "vary"}) | {"source": ("a.wav", content)}
        answer = http.post("/v1/jobs", files=parts)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(said)

    def test_that_does_not_fit_the_recording_fails_with_a_sentence(self, http, recording):
        body = {"kind": "inpaint", "spans": [[3.0, 4.0]]}
        job = http.post("/v1/jobs", files=form(body, source=recording)).json()
        job = finished(http, job["id"])
        assert job["state"] == "failed"
        assert job["problem"].startswith("3 to 4 s lies outside: 'some noise.wav' is 1 s long")

    def test_without_a_recording_is_refused(self, http):
        answer = http.post("/v1/jobs", json={"kind": "vary"})
        assert answer.status_code == 422 and "'source'" in answer.json()["detail"]


class TestEvents:
    def test_lead_from_the_queue_to_the_end(self, http):
        first = http.post("/v1/jobs", json={**ASKED, "steps": 60}).json()
        job = http.post("/v1/jobs", json={**ASKED, "steps": 30}).json()
        events = []
        with http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    events.append(json.loads(line[6:]))
        states = [event["state"] for event in events]
        assert states == sorted(states, key=["queued", "running", "done"].index)
        assert events[0] == {"state": "queued", "place": events[0]["place"]}
        steps = [event["step"] for event in events if event["state"] == "running"]
        assert steps == sorted(steps) and events[-1]["sounds"]
        assert finished(http, first["id"])["state"] == "done"

    def test_of_an_ended_job_are_its_end(self, http, done):
        answer = http.get(f"/v1/jobs/{done['id']}/events")
        assert answer.text.startswith("event: done\n")


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "media_type", "magic"),
        [
            ("wav", "audio/wav", b"RIFF"),
            ("flac", "audio/flac", b"fLaC"),
            ("opus", "audio/ogg", b"OggS"),
            ("mp3", "audio/mpeg", b""),
        ],
    )
    def test_hold_the_sound_and_its_record(self, http, done, tmp_path, name, media_type, magic):
        answer = http.get(f"/v1/jobs/{done['id']}/audio", params={"format": name})
        assert answer.headers["content-type"] == media_type
        assert answer.content.startswith(magic)
        path = tmp_path / f"sound.{'ogg' if name == 'opus' else name}"
        path.write_bytes(answer.content)
        from latentfoley.provenance import read_provenance

        assert read_provenance(path).identity == done["sounds"][0]["identity"]
        assert soundfile.info(path).frames == pytest.approx(8000, abs=1)

    def test_flac_is_lossless(self, http, done):
        flac = http.get(f"/v1/jobs/{done['id']}/audio", params={"format": "flac"})
        assert np.array_equal(samples(flac), samples(http.get(done["sounds"][0]["audio"])))

    def test_an_unknown_one_is_refused_with_the_nearest(self, http, done):
        answer = http.get(f"/v1/jobs/{done['id']}/audio", params={"format": "wave"})
        assert answer.status_code == 422
        assert "Did you mean 'wav'?" in answer.json()["detail"]

    def test_the_picture_is_a_png(self, http, done):
        answer = http.get(f"/v1/jobs/{done['id']}/picture")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")


class TestCancel:
    def test_ends_a_running_job_between_two_steps(self, http):
        job = http.post("/v1/jobs", json={**ASKED, "steps": 1000, "duration_s": 2.0}).json()
        until(lambda: http.get(f"/v1/jobs/{job['id']}").json()["state"] == "running")
        assert http.delete(f"/v1/jobs/{job['id']}").status_code == 202
        job = finished(http, job["id"])
        assert job["state"] == "cancelled" and job["sounds"] == []

    def test_takes_a_queued_job_out(self, http):
        first = http.post("/v1/jobs", json={**ASKED, "steps": 1000}).json()
        second = http.post("/v1/jobs", json=ASKED).json()
        assert http.delete(f"/v1/jobs/{second['id']}").json()["state"] == "cancelled"
        http.delete(f"/v1/jobs/{first['id']}")

    def test_of_an_ended_job_deletes_its_sounds(self, http):
        job = finished(http, http.post("/v1/jobs", json=ASKED).json()["id"])
        gone = http.delete(f"/v1/jobs/{job['id']}").json()
        assert gone["state"] == "removed" and gone["request"] == {}
        assert http.get(job["sounds"][0]["audio"]).status_code == 404


class TestKeys:
    def test_the_same_key_is_computed_once(self, http):
        key = {"Idempotency-Key": "once"}
        first = http.post("/v1/jobs", json=ASKED, headers=key)
        again = http.post("/v1/jobs", json=ASKED, headers=key)
        assert (first.status_code, again.status_code) == (202, 200)
        assert first.json()["id"] == again.json()["id"]

    def test_a_key_of_another_request_is_refused(self, http):
        key = {"Idempotency-Key": "twice"}
        http.post("/v1/jobs", json=ASKED, headers=key)
        other = http.post("/v1/jobs", json={**ASKED, "seed": 8}, headers=key)
        assert other.status_code == 422 and "Idempotency-Key" in other.json()["detail"]


class TestDialects:
    """Bodies as their documentation shows them, word for word."""

    @pytest.mark.parametrize(
        "body",
        [
            {"input": "A dog barking", "audio_length": 5.0},
            pytest.param(
                {
                    "input": "Thunder and rain",
                    "audio_length": 15.0,
                    "negative_prompt": "Low quality",
                    "guidance_scale": 7.0,
                    "num_inference_steps": 100,
                    "seed": 42,
                    "response_format": "wav",
                },
                marks=pytest.mark.slow,
            ),
        ],
    )
    def test_vllm_omni(self, http, body):
        answer = http.post("/v1/audio/generate", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
        assert len(samples(answer)) == body["audio_length"] * 16_000

    def test_vllm_omni_is_the_same_sound_as_a_job(self, http, done):
        body = {
            "input": ASKED["prompt"],
            "audio_length": 0.5,
            "num_inference_steps": 3,
            "seed": 7,
        }
        answer = http.post("/v1/audio/generate", json=body)
        assert answer.content[:4] == b"RIFF"
        assert np.array_equal(samples(answer), samples(http.get(done["sounds"][0]["audio"])))

    def test_elevenlabs(self, http):
        body = {"text": "Spacious braam suitable for high-impact movie trailer moments"}
        answer = http.post("/v1/sound-generation", json=body, headers={"xi-api-key": "any"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
        assert soundfile.info(io.BytesIO(answer.content)).samplerate == 44_100

    def test_elevenlabs_with_all_its_fields(self, http):
        body = {
            "text": "Spacious braam suitable for high-impact movie trailer moments",
            "loop": True,
            "duration_seconds": 0.5,
            "prompt_influence": 0.3,
            "model_id": "eleven_text_to_sound_v2",
        }
        answer = http.post("/v1/sound-generation?output_format=pcm_16000", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/pcm")
        assert len(answer.content) == 2 * 8000

    def test_without_a_seed_every_sound_is_another(self, http):
        body = {"input": "rain", "audio_length": 0.2, "num_inference_steps": 1}
        first, second = (http.post("/v1/audio/generate", json=body).content for _ in range(2))
        assert first != second

    def test_another_model_is_refused(self, http):
        answer = http.post("/v1/audio/generate", json={"input": "rain", "model": "gpt"})
        assert answer.status_code == 404 and "'gpt'" in answer.json()["detail"]


class TestClient:
    def test_gives_what_a_loaded_model_gives(self, server, micro_model):
        steps = []
        asked = {"duration_s": 0.5, "steps": 4, "seed": 3, "n": 2}
        with latentfoley.Client(server.url) as client:
            clips = client.generate("rain", progress=lambda *told: steps.append(told), **asked)
        for clip, expected in zip(clips, micro_model.generate("rain", **asked), strict=True):
            assert clip.provenance.same_sound(expected.provenance)
            assert np.abs(clip.waveform - expected.waveform).max() <= 0.5 / 2**15
        assert all(total == 8 and 0 < done <= 8 for done, total in steps)

    def test_edits(self, server, recording, micro_model):
        asked = {"spans": [(0.2, 0.4)], "steps": 2}
        with latentfoley.Client(server.url) as client:
            (clip,) = client.edit("inpaint", recording, "rain", **asked)
        (expected,) = micro_model.edit("inpaint", recording, "rain", **asked)
        assert clip.provenance.same_sound(expected.provenance)

    def test_says_what_the_server_says(self, server):
        refused = pytest.raises(latentfoley.LatentFoleyError, match="this server allows 50,000")
        with refused, latentfoley.Client(server.url) as client:
            client.generate("rain", duration_s=3600, steps=1000)

    def test_a_file_that_is_not_there_is_said_as_by_a_loaded_model(self, server, tmp_path):
        refused = pytest.raises(AudioFileError, match="there is no file")
        with refused, latentfoley.Client(server.url) as client:
            client.edit("vary", tmp_path / "gone.wav")

    def test_a_token_that_no_header_holds(self):
        with pytest.raises(InputError, match="a token is plain ASCII"):
            latentfoley.Client("http://127.0.0.1:1", token="…")


class TestAbout:
    def test_models(self, http, micro_model_folder):
        (model,) = http.get("/v1/models").json()["data"]
        assert model["id"] == str(micro_model_folder)
        assert model["mel"]["sample_rate"] == 16_000

    def test_metrics(self, http, done):
        text = http.get("/metrics").text
        assert 'latentfoley_jobs_ended_total{state="done"}' in text
        assert 'route="/v1/jobs/{job_id}"' in text

    def test_prompts_are_not_logged_but_request_ids_are(self, server, http):
        headers = {"X-Request-Id": "mine-1"}
        answer = http.post("/v1/jobs", json={**ASKED, "prompt": "zebra"}, headers=headers)
        assert answer.headers["X-Request-Id"] == "mine-1"
        assert finished(http, answer.json()["id"])["state"] == "done"
        log = until(lambda: [line for line in server.log if "request_id=mine-1" in line])
        assert "route=/v1/jobs status=202" in log[0]
        assert not any("zebra" in line for line in server.log)


def test_of_many_streams_that_come_at_once_as_many_as_allowed_are_opened(app_client):
    client = app_client(limits={"streams": 3})
    job_id = client.post("/v1/jobs", json={"prompt": "a dog"}).json()["id"]
    headers = [(b"host", b"localhost:8321")]
    path = f"/v1/jobs/{job_id}/events"
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}

    async def open_at_once(n):
        codes, hung_up = [], asyncio.Event()

        async def receive():
            await hung_up.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            codes.extend([message["status"]] if "status" in message else [])

        tasks = [asyncio.create_task(client.app(dict(scope), receive, send)) for _ in range(n)]
        while len(codes) < n:
            await asyncio.sleep(0.01)
        hung_up.set()
        await asyncio.gather(*tasks)
        return sorted(codes)

    assert asyncio.run(open_at_once(8)) == [200] * 3 + [429] * 5
    assert client.app.state.service.streams == 0
