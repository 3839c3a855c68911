"""`latentfoley edit`: files that say what was done to what, and the same ones every time."""

import json
import shlex

import numpy as np
import pytest
import soundfile

from latentfoley.provenance import read_provenance
from signals import noise, tone

EDITS = [
    ("transfer", "in.wav", "a dog", "--strength", 0.4),
    ("transfer", "in.wav", "-1 dog", "--source-prompt", "the sea", "--invert"),
    ("transfer", "in.wav", "--audio-prompt", "tone.wav", "--sampler", "ddim", "--eta", 0.3),
    ("vary", "in.wav", "--seed", 3, "--candidates", 2),
    ("inpaint", "in.wav", "rain", "--from", 0.1, "--from", 0.2, "--to", 0.15, "--to", 0.3),
    ("inpaint", "in.wav", "rain", "--band", "2000:8000", "--repeats", 2),
    ("extend", "in.wav", "--after", 0.3, "--before", 0.1),
    ("upsample", "in.wav", "--cutoff", 3000),
    ("upsample", "dull.wav", "rain"),
    ("loop", "in.wav", "rain", "--seam", 0.2, "--repeats", 2),
    ("morph", "in.wav", "--with", "tone.wav", "--mix", 0.25, "--strength", 0.7),
]


@pytest.fixture
def edit(run, micro_model_folder, tmp_path):
    """Return a function that runs `latentfoley edit WORDS…` on the micro model, quickly."""
    soundfile.write(tmp_path / "in.wav", noise(0.3), 16_000)
    soundfile.write(tmp_path / "tone.wav", tone(duration_s=0.4), 16_000)
    soundfile.write(tmp_path / "dull.wav", noise(0.3, 4000), 4000)

    def edit(*words):
        texts = [word for word in words if str(word)[:2] == "-1"]
        words = [word for word in words if word not in texts]
        end = ["--", *texts] if texts else []
        return run("edit", "--steps", 2, "--model", micro_model_folder, *words, *end)

    return edit


@pytest.mark.parametrize("words", EDITS, ids=lambda words: " ".join(map(str, words[:4])))
def test_the_command_in_the_file_makes_the_same_samples(run, edit, tmp_path, words):
    assert edit(*words, "-o", "first.wav").code == 0
    end = run("info", "first.wav")
    (line,) = (line for line in end.out.splitlines() if line.startswith("  again "))
    program, *command = shlex.split(line.removeprefix("  again "))
    assert program == "latentfoley"
    assert run(command[0], "-o", "second.wav", *command[1:]).code == 0
    first, second = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("first", "second"))
    assert first.tobytes() == second.tobytes()
    if "--candidates" not in words:  # the command asks for the one that was kept, and not for all
        assert read_provenance(tmp_path / "first.wav").same_sound(
            read_provenance(tmp_path / "second.wav")
        )


class TestFiles:
    def test_their_names_say_what_was_done(self, edit):
        end = edit("transfer", "in.wav", "a dog", "rain", "-n", 2)
        names = ["000-transfer-in-a-dog", "001-transfer-in-a-dog", "002-transfer-in-rain"]
        assert end.code == 0
        for name in names:
            assert f"out/{name}.wav  0.3 s  " in end.out
        assert edit("vary", "in.wav").out.startswith("out/000-vary-in.wav  0.3 s  ")

    def test_what_info_says(self, run, edit):
        edit("transfer", "in.wav", "a dog", "-o", "a.wav")
        out = run("info", "a.wav").out
        assert "  edit             transfer of in.wav (sha256 " in out
        assert "  settings         strength=0.6 source_prompt= invert=False\n" in out

    @pytest.mark.parametrize("words", EDITS[::3], ids=lambda words: words[0])
    def test_a_picture_beside_the_file(self, edit, tmp_path, words):
        assert edit(*words, "-o", "a.wav", "--plot").code == 0
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

    def test_json(self, edit, tmp_path):
        record = json.loads(edit("vary", "in.wav", "--json", "-o", "a.wav").out)
        assert (record["kind"], record["edit"]["source"]["file"]) == ("vary", "in.wav")
        assert record["edit"]["settings"] == {"strength": 0.5, "invert": False}
        assert record["duration_s"] == 0.3


@pytest.mark.parametrize(("rate", "channels"), [(192_000, 8), (44_100, 2), (8000, 1)])
def test_any_rate_and_channel_count(edit, tmp_path, rate, channels):
    waveform = np.stack([noise(0.3, rate, seed=k) for k in range(channels)], axis=1)
    soundfile.write(tmp_path / "in.wav", waveform, rate)
    end = edit("vary", "in.wav", "-o", "a.wav")
    assert end.code == 0
    assert soundfile.info(tmp_path / "a.wav").frames == 4800
    said = f"in.wav: {channels} channels at {rate} Hz are mixed down to one\n"
    assert end.err == (said if channels > 1 else "")


class TestRefused:
    @pytest.mark.parametrize(
        ("samples", "says"),
        [
            (np.zeros(16_000), "'in.wav' is silent: its peak is 0.0e+00; allowed: above 1e-04"),
            (np.full(16_000, np.nan), "'in.wav' holds NaN or infinite samples, the first at 0 s"),
            (np.ones(1), "'in.wav' is too short to edit: 6.25e-05 s (1 samples at 16000 Hz)"),
            (np.ones(0), "'in.wav' holds no samples"),
        ],
        ids=["silence", "nan", "one", "none"],
    )
    def test_samples_that_are_no_sound(self, edit, refused, tmp_path, samples, says):
        soundfile.write(tmp_path / "in.wav", samples.astype(np.float32), 16_000, subtype="FLOAT")
        refused(edit, "transfer", "in.wav", "rain", says=says)

    def test_a_truncated_file(self, edit, refused, tmp_path):
        (tmp_path / "in.wav").write_bytes((tmp_path / "in.wav").read_bytes()[:5000])
        refused(edit, "vary", "in.wav", says="'in.wav' is cut short")

    def test_no_such_file(self, edit, refused):
        says = "there is no file 'inn.wav'. Nearest there: in.wav"
        refused(edit, "vary", "inn.wav", says=says)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("transfre", "in.wav", "rain"), ["unknown edit 'transfre'", "mean 'transfer'?"]),
            (("transfer", "in.wav"), "transfer needs a prompt, or an audio prompt"),
            (("vary", "in.wav", "-o", "in.wav"), "'in.wav' is the recording itself; give -o"),
            (
                ("morph", "tone.wav", "--with", "in.wav", "-o", "./in.wav"),
                "'in.wav' is the recording itself; give -o another name",
            ),
            (("transfer", "in.wav", ""), "a prompt must say something"),
            (("vary", "in.wav", "--strength", 2), "strength: must lie between 0 and 1, got 2.0"),
            (("vary", "in.wav", "--strength", "nan"), "strength: must be a finite number"),
            (
                ("vary", "in.wav", "--source-prompt", "rain"),
                "source_prompt is no setting of vary; allowed: strength, invert",
            ),
            (("vary", "in.wav", "rain", "--audio-prompt", "tone.wav"), "and not both"),
            (
                ("inpaint", "in.wav", "rain"),
                "inpaint needs spans (--from, --to), bands (--band) or both",
            ),
            (("upsample", "in.wav", "rain"), "reaches up to 8000 Hz, as high as the model hears"),
            (
                ("upsample", "in.wav", "rain", "--cutoff", 8000),
                "cutoff_hz: 8000 Hz is not below what the model hears; allowed: 0 to 8000",
            ),
            (
                ("loop", "in.wav", "rain"),
                "a seam of 0.5 s does not fit into 'in.wav'; allowed: less than 0.3 s",
            ),
            (("morph", "in.wav"), "morph needs a second recording: other (--with)"),
            (("morph", "in.wav", "--with", "tune.wav"), "Nearest there: tone.wav"),
            (
                ("inpaint", "in.wav", "rain", "--from", 1),
                "every span needs both --from and --to, got 1 --from and 0 --to",
            ),
            (
                ("inpaint", "in.wav", "rain", "--from", 0.2, "--to", 0.1),
                "spans: 0.2 to 0.1 s is reversed, empty or below 0; did you mean 0.1 to 0.2 s?",
            ),
            (
                ("inpaint", "in.wav", "rain", "--from", 0.2, "--to", 1),
                "'in.wav' is 0.3 s long; allowed: 0 to 0.3 s. Did you mean 0.2 to 0.3?",
            ),
            (
                ("inpaint", "in.wav", "rain", "--band", "2k:8k"),
                "a --band is two numbers in Hz like 2000:8000, got '2k:8k'",
            ),
            (
                ("inpaint", "in.wav", "rain", "--band", "2000:20000"),
                "hears up to 8000 Hz; allowed: 0 to 8000 Hz. Did you mean 2000 to 8000?",
            ),
        ],
    )
    def test_what_is_allowed_is_named(self, edit, refused, words, says):
        refused(edit, *words, says=says)
