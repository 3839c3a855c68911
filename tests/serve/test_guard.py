"""Who is let in, from where, with how much; every answer is a problem in our own words."""

import json
import statistics
import time

import pytest

TOKEN, OTHER = "a-token-of-sixteen", "another-of-sixteen"
JSON = {"content-type": "application/json"}


def problem(answer, status):
    """Return the detail of a problem, which has the right form."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "request_id"}
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    return body["detail"]


class TestToken:
    def test_is_needed_for_everything_but_health_and_the_schema(self, app_client):
        with app_client(tokens=(TOKEN,)) as client:
            paths = client.get("/openapi.json").json()["paths"]
            for path, operations in paths.items():
                for method in operations:
                    answer = client.request(method, path.replace("{job_id}", "0" * 32))
                    if path.startswith("/health"):
                        assert answer.status_code in (200, 503)
                    else:
                        assert "a token is needed" in problem(answer, 401)

    @pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é" * 9])
    def test_must_be_the_whole_of_it(self, app_client, given):
        headers = {"Authorization": f"Bearer {given}".encode()}
        answer = app_client(tokens=(TOKEN,)).get("/v1/jobs", headers=headers)
        assert "the token is none of this server's" in problem(answer, 401)

    @pytest.mark.parametrize(
        "headers", [{"Authorization": f"Bearer {TOKEN}"}, {"xi-api-key": TOKEN}]
    )
    def test_opens_either_way(self, app_client, headers):
        assert app_client(tokens=(TOKEN,)).get("/v1/jobs", headers=headers).status_code == 200

    def test_sees_its_own_jobs_alone(self, app_client):
        client = app_client(tokens=(TOKEN, OTHER))
        mine, theirs = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, OTHER))
        job = client.post("/v1/jobs", json={"prompt": "rain"}, headers=mine).json()
        assert client.get(f"/v1/jobs/{job['id']}", headers=mine).status_code == 200
        assert client.get("/v1/jobs", headers=theirs).json() == {"jobs": []}
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/audio")):
            answer = client.request(method, f"/v1/jobs/{job['id']}{path}", headers=theirs)
            assert problem(answer, 404) == "there is no such job"

    def test_is_compared_as_a_digest_against_every_token(self, app_client, monkeypatch):
        from latentfoley.serve import guard

        compared = []
        whole = guard.hmac.compare_digest
        monkeypatch.setattr(
            guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or whole(a, b)
        )
        client = app_client(tokens=(TOKEN, OTHER))
        for given in (TOKEN, OTHER, "x", TOKEN[:-1]):
            client.get("/v1/jobs", headers={"Authorization": f"Bearer {given}"})
        assert len(compared) == 8
        assert {len(side) for pair in compared for side in pair} == {32}


class TestOrigin:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "http://localhost:9999"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        ],
    )
    def test_of_another_site_is_refused(self, app_client, headers):
        answer = app_client().post("/v1/jobs", json={"prompt": "rain"}, headers=headers)
        assert "another site" in problem(answer, 403)

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1"])
    def test_a_name_that_was_rebound_is_refused(self, app_client, host):
        answer = app_client(host=host).get("/v1/jobs", headers={"Origin": f"http://{host}:8321"})
        assert "without a token" in problem(answer, 403)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_of_this_server_is_let_in(self, app_client, host):
        headers = {"Origin": f"http://{host}:8321", "Sec-Fetch-Site": "same-origin"}
        assert app_client(host=host).get("/v1/jobs", headers=headers).status_code == 200


class TestBodies:
    def test_too_large_by_what_they_say_is_refused_unread(self, app_client):
        client = app_client(limits={"body_bytes": 1024})

        def never():
            raise AssertionError("the body was read")
            yield b""

        headers = {**JSON, "content-length": str(4 * 2**30)}
        answer = client.post("/v1/jobs", content=never(), headers=headers)
        assert "too large" in problem(answer, 413)

    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/audio/generate", "/v1/sound-generation"])
    def test_too_large_without_saying_so_is_refused_while_it_arrives(self, app_client, path):
        client = app_client(limits={"body_bytes": 10_000})
        body = (b" " * 1000 for _ in range(100))
        answer = client.post(path, content=body, headers=JSON)
        assert "too large" in problem(answer, 413)
        assert answer.headers["connection"] == "close"  # or an endless one would be read for ever

    def test_too_large_as_a_form(self, app_client):
        client = app_client(limits={"body_bytes": 10_000})
        parts = {"request": (None, "{}"), "source": ("a.wav", b"x" * 20_000)}
        problem(client.post("/v1/jobs", files=parts), 413)
        assert list(client.app.state.service.store.folder.iterdir()) == []

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"seed": ' + b"9" * 10_000 + b"}", b'{"a": "\\'],
    )
    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/audio/generate"])
    def test_that_are_no_json(self, app_client, path, body):
        answer = app_client().post(path, content=body, headers=JSON)
        assert "JSON" in problem(answer, answer.status_code)
        assert answer.status_code in (400, 422)

    def test_of_another_type(self, app_client):
        answer = app_client().post(
            "/v1/jobs", content=b"rain", headers={"content-type": "text/plain"}
        )
        assert "application/json or multipart/form-data" in problem(answer, 415)

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"prompt": ""}, "prompts: a prompt must say something; it is empty, got ('',)"),
            ({"promt": "rain"}, "unknown field 'promt'; allowed: "),
            ({"prompt": 5}, "prompt must be a text, texts with weights, or a list of those, got 5"),
            ({"prompt": "rain", "steps": "3"}, "steps must be a whole number, got '3'"),
            ({"prompt": "rain", "steps": 0}, "steps: must lie between 1 and 1000, got 0"),
            ({"prompt": "rain", "seed": 2**70}, "seed: must lie between 0 and"),
            ({"prompt": "rain", "sampler": "ddmi"}, "sampler: 'ddmi' is unknown; allowed:"),
            ({"prompt": "rain\ud800"}, "prompts: holds a lone surrogate"),
            ({"prompt": "rain", "spans": [[1]]}, "spans.0 must have at least 2 entries, got [1]"),
            ({"kind": "transfrom"}, "kind: unknown edit 'transfrom'; allowed: transfer, "),
            ({"kind": "vary"}, "an edit needs the recording"),
            ([], "the body must be an object with names and values"),
        ],
    )
    def test_that_ask_for_what_is_not_allowed(self, app_client, body, said):
        answer = app_client().post("/v1/jobs", content=json.dumps(body), headers=JSON)
        assert problem(answer, 422).startswith(said)

    def test_that_cost_more_than_is_allowed(self, app_client):
        body = {"prompt": "rain", "duration_s": 100.0, "steps": 100, "n": 10}
        answer = app_client().post("/v1/jobs", json=body)
        assert problem(answer, 422).startswith(
            "100 s × 100 steps × 10 sounds = 100,000; this server allows 50,000 in one job"
        )


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1/jobs/" + "0" * 32,
            "/v1/jobs/..%2f..%2fjobs.sqlite",
            "/v1/jobs/../../etc/passwd/audio",
            "/v1/jobs/%2e%2e/audio",
            "/v1/jobs/..%5c..%5c/audio",
            "/v1/jobs/%00/audio",
            "/v1/jobs/" + "a" * 5000,
            "/v1/jobs/é/audio",
            "/docs",
            "/page/../../errors.py",
        ],
    )
    def test_that_lead_nowhere(self, app_client, path):
        problem(app_client().get(path), 404)

    def test_a_method_that_is_not_there(self, app_client):
        assert "method" in problem(app_client().put("/v1/jobs"), 405)


class TestQueue:
    def test_full_says_when_to_come_back_and_reads_no_body(self, app_client):
        client = app_client(limits={"queue": 2})
        for seed in range(2):
            assert client.post("/v1/jobs", json={"prompt": "rain", "seed": seed}).status_code == 202
        answer = client.post("/v1/jobs", content=b"{", headers=JSON)
        assert "2 jobs wait" in problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60

    def test_full_still_answers_a_repetition(self, app_client):
        client, key = app_client(limits={"queue": 1}), {"Idempotency-Key": "k"}
        first = client.post("/v1/jobs", json={"prompt": "rain"}, headers=key)
        again = client.post("/v1/jobs", json={"prompt": "rain"}, headers=key)
        assert (first.status_code, again.status_code) == (202, 200)
        assert first.json()["id"] == again.json()["id"]

    def test_one_token_cannot_take_all_of_it(self, app_client):
        client = app_client(limits={"jobs_per_token": 1}, tokens=(TOKEN, OTHER))
        mine, theirs = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, OTHER))
        assert client.post("/v1/jobs", json={"prompt": "a"}, headers=mine).status_code == 202
        problem(client.post("/v1/jobs", json={"prompt": "b"}, headers=mine), 429)
        assert client.post("/v1/jobs", json={"prompt": "c"}, headers=theirs).status_code == 202

    def test_tells_the_place(self, app_client):
        client = app_client()
        places = [client.post("/v1/jobs", json={"prompt": "a"}).json()["place"] for _ in range(3)]
        assert places == [1, 2, 3]


class TestFaults:
    def test_are_told_by_kind_and_logged_without_the_prompt(self, app_client, monkeypatch, caplog):
        from latentfoley.serve import intake

        def broken(*_):
            raise RuntimeError("zebra")

        monkeypatch.setattr(intake, "build", broken)
        answer = app_client().post("/v1/jobs", json={"prompt": "zebra"})
        assert problem(answer, 500).startswith("RuntimeError: this is a fault of ours")
        assert "test_guard.py" in caplog.text and "zebra" not in caplog.text + answer.text

    def test_a_full_disk_accepts_nothing_and_leaves_nothing(self, app_client, monkeypatch):
        import errno

        from latentfoley.serve import uploads

        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(uploads.os, "fsync", full)
        client = app_client()
        parts = {"request": (None, '{"kind": "vary"}'), "source": ("a.wav", b"x")}
        assert "no room left" in problem(client.post("/v1/jobs", files=parts), 507)
        assert list(client.app.state.service.store.folder.iterdir()) == []
        assert client.get("/v1/jobs").json() == {"jobs": []}


@pytest.mark.slow
def test_a_wrong_token_takes_as_long_whatever_it_shares_with_the_right_one(app_client):
    client = app_client(tokens=(TOKEN,))
    given = {"near": TOKEN[:-1] + "x", "far": "x" * len(TOKEN), "short": "x"}
    spent = {name: [] for name in given}
    for _ in range(400):
        for name, token in given.items():
            begun = time.perf_counter()
            client.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"})
            spent[name].append(time.perf_counter() - begun)
    medians = [statistics.median(times) for times in spent.values()]
    spread = statistics.quantiles(spent["near"], n=4)
    assert max(medians) - min(medians) < spread[2] - spread[0]
