"""SIGKILL, SIGTERM, a full disk, slow clients: what is accepted is finished, once."""

import contextlib
import os
import signal
import socket
import sys
import time

import numpy as np
import pytest
import soundfile

from servers import Server, finished, serving, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

ASKED = {"prompt": "rain", "duration_s": 0.5, "steps": 20}


def submit(http, n, **more):
    jobs = [
        http.post(
            "/v1/jobs", json={**ASKED, **more, "seed": k}, headers={"Idempotency-Key": f"{k}"}
        )
        for k in range(n)
    ]
    assert {job.status_code for job in jobs} <= {200, 202}
    return [job.json()["id"] for job in jobs]


def kill(*processes):
    for process in processes:
        os.kill(process, signal.SIGKILL)


def check(http, ids, model, folder, **more):
    """Every job is done once, with the samples of the library."""
    for k, job_id in enumerate(ids):
        job = finished(http, job_id)
        assert (job["state"], len(job["sounds"])) == ("done", 1), job
        (clip,) = model.generate(**{**ASKED, **more}, seed=k)
        found = list((folder / "jobs" / job_id).glob("*.wav"))
        assert [path.stem for path in found] == [clip.provenance.identity]
        there, _ = soundfile.read(found[0], dtype="int16")
        assert np.array_equal(there, np.rint(clip.waveform * 2**15).astype(np.int16))


@pytest.mark.slow
def test_a_server_that_is_killed_finishes_after_its_restart(
    micro_model_folder, micro_model, tmp_path
):
    first = Server(micro_model_folder, tmp_path)
    with first.client() as http:
        ids = submit(http, 3)
        until(lambda: http.get(f"/v1/jobs/{ids[1]}").json()["state"] == "running")
    worker = first.workers()
    first.kill()
    with serving(micro_model_folder, tmp_path) as second, second.client() as http:
        assert submit(http, 3) == ids
        check(http, ids, micro_model, tmp_path)
        assert not set(worker) & set(second.workers())


@pytest.mark.slow
def test_a_worker_that_is_killed_is_restarted_and_its_job_tried_once_more(
    micro_model_folder, micro_model, tmp_path
):
    with serving(micro_model_folder, tmp_path) as server, server.client() as http:
        ids = submit(http, 3)
        until(lambda: http.get(f"/v1/jobs/{ids[0]}").json()["state"] == "running")
        (worker,) = server.workers()
        kill(worker)
        check(http, ids, micro_model, tmp_path)
        assert server.workers() != [worker]


@pytest.mark.slow
def test_a_job_that_kills_its_worker_twice_fails(micro_model_folder, tmp_path):
    with serving(micro_model_folder, tmp_path) as server, server.client() as http:
        (job_id,) = submit(http, 1, steps=1000, duration_s=2.0)
        for _ in range(2):
            until(lambda: http.get(f"/v1/jobs/{job_id}").json().get("step"))
            kill(*server.workers())
            until(lambda: not http.get(f"/v1/jobs/{job_id}").json().get("step"))
        job = finished(http, job_id)
        assert job["state"] == "failed" and "died 2 times" in job["problem"]


@pytest.mark.slow
def test_sigterm_puts_the_job_back_and_exits_at_once(micro_model_folder, tmp_path):
    with serving(micro_model_folder, tmp_path) as server, server.client() as http:
        job_id = http.post("/v1/jobs", json={**ASKED, "steps": 1000, "duration_s": 5.0}).json()[
            "id"
        ]
        until(lambda: http.get(f"/v1/jobs/{job_id}").json().get("step"))
        with http.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            begun = time.monotonic()
            code = server.end(signal.SIGTERM)
            assert code == 128 + signal.SIGTERM and time.monotonic() - begun < 15
            assert "done" not in "".join(lines)
    from latentfoley.serve.store import Store

    store = Store(tmp_path)
    assert [job.id for job in store.recover()] == [job_id]
    store.close()


def test_what_cannot_be_written_fails_the_job_and_not_the_server(server, http):
    first = http.post("/v1/jobs", json=ASKED).json()
    job_id = http.post("/v1/jobs", json=ASKED).json()["id"]
    # A file where the folder of the sounds belongs.
    (server.folder / "jobs" / job_id).write_bytes(b"")
    job = finished(http, job_id)
    assert job["state"] == "failed" and "cannot be written" in job["problem"]
    assert str(server.folder) not in job["problem"]
    assert http.get(f"/v1/jobs/{job_id}/audio").status_code == 404
    assert finished(http, first["id"])["state"] == "done"
    again = http.post("/v1/jobs", json=ASKED).json()
    assert finished(http, again["id"])["state"] == "done"


@pytest.mark.slow
def test_a_job_that_takes_too_long_fails_with_a_sentence(micro_model_folder, tmp_path):
    options = ("--max-job-s", 0.5)
    with serving(micro_model_folder, tmp_path, *options) as server, server.client() as http:
        asked = {**ASKED, "steps": 1000, "duration_s": 5.0}
        job = finished(http, http.post("/v1/jobs", json=asked).json()["id"])
        assert job["problem"] == "it took more than 0.5 s, which is what this server allows one job"
        assert job["state"] == "failed"


def test_a_client_that_hangs_up_cancels_what_it_waited_for(server, http):
    known = {job["id"] for job in http.get("/v1/jobs").json()["jobs"]}

    def new():
        return [job for job in http.get("/v1/jobs").json()["jobs"] if job["id"] not in known]

    body = b'{"input": "rain", "audio_length": 5.0, "num_inference_steps": 1000}'
    head = b"POST /v1/audio/generate HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head + body)
        (job,) = until(new)
    assert finished(http, job["id"])["state"] == "cancelled"


@pytest.mark.slow
def test_slow_heads_are_cut_off_and_event_streams_bounded(micro_model_folder, tmp_path):
    options = ("--max-streams", 5)
    with serving(micro_model_folder, tmp_path, *options) as server, server.client() as http:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        for connection in slow:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        begun = time.monotonic()
        while time.monotonic() - begun < 11:
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"a")
            assert http.get("/health").status_code == 200
            time.sleep(1)
        for connection in slow:
            with connection:
                connection.settimeout(10)
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(1) == b""

        job_id = http.post("/v1/jobs", json={**ASKED, "steps": 1000, "duration_s": 5.0}).json()[
            "id"
        ]
        codes = []
        streams = [http.stream("GET", f"/v1/jobs/{job_id}/events") for _ in range(8)]
        for stream in streams:
            codes.append(stream.__enter__().status_code)
        for stream in streams:
            stream.__exit__(None, None, None)
        assert codes == [200] * 5 + [429] * 3
