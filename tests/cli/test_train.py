"""`latentfoley train`: from recipe to component, and what is said about a recipe that is wrong."""

import json
import os
import shutil
import signal

import pytest

from latentfoley.training.vae import VaeTask

RECIPE = """
crop_frames = 24
discriminator_channels = 4

[run]
folder = "run"
steps = 2
batch_size = 2
learning_rate = 1e-3
precision = "fp32"

[data]
manifest = "data/manifest.jsonl"
folder = "data"

[model]
latent_channels = 4
block_channels = [8, 16]
layers_per_block = 1
norm_groups = 4
"""


@pytest.fixture
def data(recordings, tmp_path):
    """A copy of the recordings, to be spoilt."""
    return shutil.copytree(recordings.parent, tmp_path / "data")


@pytest.fixture
def vae(run, data, tmp_path):
    """Return a function that trains by the recipe above, with one text replaced."""

    def vae(old="", new=""):
        assert old in RECIPE
        (tmp_path / "vae.toml").write_text(RECIPE.replace(old, new, 1) if old else RECIPE)
        return run("train", "vae", "vae.toml", "--device", "cpu")

    return vae


@pytest.fixture
def refused_recipe(vae, refused, tmp_path):
    """Return a function that checks how `vae` answers a recipe or data that are wrong."""
    (tmp_path / "vae.toml").touch()
    return lambda *change, says: refused(vae, *change, says=says)


class TestVae:
    def test_it_says_where_the_component_is(self, vae, tmp_path):
        end = vae()
        assert (end.code, end.err) == (0, "")
        assert end.out == "run/model\n"
        assert sorted(file.name for file in (tmp_path / "run" / "model" / "vae").iterdir()) == [
            "config.json",
            "diffusion_pytorch_model.safetensors",
        ]

    def test_the_bar_is_drawn_on_stderr(self, vae, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setenv("FORCE_COLOR", "1")
        end = vae()
        assert end.out == "run/model\n"
        assert "run" in end.err

    def test_a_run_resumes_under_another_name_of_its_folder(self, vae, run, monkeypatch, tmp_path):
        assert vae().code == 0
        steps = []
        step = VaeTask.step
        monkeypatch.setattr(VaeTask, "step", lambda task, n: [steps.append(n), step(task, n)][1])
        longer = ("--device", "cpu", "--set", "run.steps=3", "--set", f"run.folder={tmp_path}/run")
        assert run("train", "vae", "vae.toml", *longer).code == 0
        assert steps == [2]

    def test_a_stop_says_how_to_go_on_and_it_does(self, vae, monkeypatch, tmp_path):
        step = VaeTask.step

        def stopped_step(task, number):
            os.kill(os.getpid(), signal.SIGINT)
            return step(task, number)

        with monkeypatch.context() as patch:
            patch.setattr(VaeTask, "step", stopped_step)
            end = vae()
        assert (end.code, end.err) == (130, "stopped, and saved in run; the same command resumes\n")
        assert not (tmp_path / "run" / "model").exists()
        steps = []
        monkeypatch.setattr(VaeTask, "step", lambda task, n: [steps.append(n), step(task, n)][1])
        assert vae().code == 0
        assert steps == [1]

    def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(self, vae, tmp_path):
        vae("learning_rate", "checkpoint_every = 1\nlearning_rate")
        (tmp_path / "run" / "checkpoints" / "0000002.pt").write_bytes(b"")
        end = vae("learning_rate", "checkpoint_every = 1\nlearning_rate")
        assert end.code == 0
        assert end.err.startswith("warning: run/checkpoints/0000002.pt cannot be read (")
        assert end.err.endswith("; going on from the one before\n")


class TestRecipe:
    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("crop_frames", "crop_frame", ["unknown key 'crop_frame'", "mean 'crop_frames'?"]),
            ("steps =", "step =", ["unknown key 'step' in [run]", "Did you mean 'steps'?"]),
            ("[model]", "[modle]", ["unknown key 'modle'", "Did you mean 'model'?"]),
            ("steps = 2", "", "run.steps: Field required"),
            ("steps = 2", 'steps = "many"', ["run.steps: Input should be", "got 'many'"]),
            ("steps = 2", "steps = 0", "run.steps: Input should be greater than or equal to 1"),
            ("[8, 16]", "[8, 15]", "model: 15 channels do not divide into 4 norm_groups"),
            ('"fp32"', '"fp8"', ["run.precision: ", "'fp32', 'bf16' or 'fp16'", "got 'fp8'"]),
            ("[run]", "[run", "is not valid TOML"),
            ("[run]", "x = " + "[" * 5000, "is not valid TOML"),
        ],
    )
    def test_what_is_wrong_is_named(self, refused_recipe, old, new, says):
        assert refused_recipe(old, new, says=says).startswith("error: vae.toml")

    def test_a_batch_that_does_not_divide(self, refused_recipe):
        says = "run.batch_size 3 does not divide into 2 equal micro-batches, 2 (run.accumulate)"
        refused_recipe("batch_size = 2", "batch_size = 3\naccumulate = 2", says=says)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ("run.step=3", ["vae.toml --set run.step=3: unknown key 'step' in [run]", "'steps'?"]),
            ("run.steps", "--set run.steps: give key=value or table.key=value"),
            ("run..steps=3", "--set run..steps=3: give key=value"),
            ("run.steps.x=3", "--set run.steps.x=3: 'steps' is a value, not a table"),
            ("run.steps=many", ["run.steps: Input should be", "got 'many'"]),
        ],
    )
    def test_a_value_set_in_vain(self, run, refused, data, tmp_path, words, says):
        (tmp_path / "vae.toml").write_text(RECIPE)
        refused(run, "train", "vae", "vae.toml", "--set", words, says=says)

    def test_a_value_set(self, run, data, tmp_path):
        (tmp_path / "vae.toml").write_text(RECIPE)
        words = ("--set", "run.steps=1", "--set", "run.folder=there", "--device", "cpu")
        end = run("train", "vae", "vae.toml", *words)
        assert end.out.splitlines()[-1] == "there/model"
        assert (tmp_path / "there" / "checkpoints" / "0000001.pt").is_file()

    @pytest.mark.parametrize("part", ["clap", "vae", "vocoder", "diffusion"])
    def test_no_recipe(self, run, refused, tmp_path, part):
        (tmp_path / "recipe.toml").touch()
        says = "there is no recipe at recepi.toml. Nearest there: recipe.toml."
        refused(run, "train", part, "recepi.toml", says=says)

    def test_one_in_another_encoding(self, run, refused, tmp_path):
        (tmp_path / "vae.toml").write_bytes(b"# \xff")
        refused(run, "train", "vae", "vae.toml", says="vae.toml is not valid TOML: 'utf-8' codec")

    def test_one_of_another_part(self, run, refused, tmp_path):
        (tmp_path / "vae.toml").write_text(RECIPE)
        says = "vae.toml: unknown key 'manifest' in [data]; allowed: latents"
        refused(run, "train", "diffusion", "vae.toml", says=says)

    def test_a_run_folder_that_is_a_file(self, refused_recipe, tmp_path):
        (tmp_path / "run").touch()
        refused_recipe(says="the run folder 'run' cannot be made: File exists")


class TestData:
    def test_no_manifest(self, refused_recipe, data):
        (data / "manifest.jsonl").rename(data / "manifests.jsonl")
        says = "no manifest at data/manifest.jsonl. Nearest there: manifests.jsonl."
        refused_recipe(says=says)

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{", "data/manifest.jsonl:5: not JSON (Expecting property name"),
            ("[1]", "data/manifest.jsonl:5: expected a JSON object, got list"),
            ("[" * 100_000, "data/manifest.jsonl:5: not JSON"),
            ('{"path": "a.wav", "caption": "rain"}', ["'caption'", "Did you mean 'captions'?"]),
            ('{"captions": ["rain"]}', "data/manifest.jsonl:5: path: Field required"),
            ('{"path": "a.wav", "split": "test"}', ["split: ", "'train' or 'valid'", "'test'"]),
            ('{"path": "lost.wav"}', ["1 recordings cannot be read", "no file 'data/lost.wav'"]),
        ],
    )
    def test_a_line_that_is_wrong(self, refused_recipe, data, line, says):
        with (data / "manifest.jsonl").open("a") as file:
            file.write(line + "\n")
        refused_recipe(says=says)

    def test_an_empty_manifest(self, refused_recipe, data):
        (data / "manifest.jsonl").write_text("\n")
        refused_recipe(says="the manifest data/manifest.jsonl lists no recordings")

    def test_every_broken_recording_is_listed(self, refused_recipe, data):
        (data / "tone.wav").unlink()
        (data / "noise.wav").write_text("hello")
        says = ["2 recordings cannot be read", "'data/tone.wav'", "'data/noise.wav' is not a rec"]
        refused_recipe(says=says)

    def test_no_recordings_held_out(self, refused_recipe, data):
        lines = (data / "manifest.jsonl").read_text().splitlines(keepends=True)
        (data / "manifest.jsonl").write_text("".join(lines[:3]))
        refused_recipe(says="data/manifest.jsonl has no recordings in split 'valid'")


DIFFUSION = """
start = "model"

[run]
folder = "run"
steps = 2
batch_size = 2
learning_rate = 1e-3
precision = "fp32"

[data]
latents = "latents"
"""
NEW = """
vae = "model"
clap = "model"
vocoder = "model"

[model]
latent_channels = 4
block_channels = [8, 16, 32]
layers_per_block = 1
norm_groups = 4
heads = [1, 2, 4]
embedding_dim = 16
"""


@pytest.fixture
def diffusion(run, latents, micro_model_folder, tmp_path):
    """Return a function that trains by the recipe above, with one text replaced and one added."""
    shutil.copytree(micro_model_folder, tmp_path / "model")
    shutil.copytree(latents, tmp_path / "latents")
    (tmp_path / "diffusion.toml").touch()

    def diffusion(old="", new="", more=""):
        assert old in DIFFUSION
        (tmp_path / "diffusion.toml").write_text(DIFFUSION.replace(old, new, 1) + more)
        return run("train", "diffusion", "diffusion.toml", "--device", "cpu")

    return diffusion


class TestDiffusion:
    @pytest.mark.parametrize(
        ("lost", "says"),
        [
            ("vae", "model/vae/config.json is missing"),
            ("audio_encoder", "model has no CLAP audio tower (audio_encoder/), which embeds what"),
            ("text_encoder", "model/text_encoder is missing"),
        ],
    )
    def test_without_what_it_builds_on(self, refused, diffusion, tmp_path, lost, says):
        shutil.rmtree(tmp_path / "model" / lost)
        refused(diffusion, says=says)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (
                ("\n[run]", '\nvae = "model"\n[run]'),
                "'start' brings its own vae: leave that out, or leave out 'start'",
            ),
            (('start = "model"', ""), "'start' (a model to train on), or model, vae, clap, voc"),
            (('start = "model"', 'vae = "x"'), "missing of these: model, clap, vocoder"),
            (("[data]", "[lora]\nrnk = 2\n[data]"), "unknown key 'rnk' in [lora]; allowed: rank"),
            (("[data]", '[lora]\ntargets = ["to_z"]\n[data]'), "no layer is called 'to_z'"),
            (('"model"', '"tyni"'), "there is no model 'tyni'"),
            (('"latents"', '"latent"'), "holds no cache.json: give a folder that `latentfoley da"),
            (("\n[run]", '\nconditioning = "mixed"\n[run]'), "'mixed' needs a text_share between"),
            (
                ("\n[run]", "\ntext_share = 0.5\n[run]"),
                "is 'audio' and text_share 0.5",
            ),
        ],
    )
    def test_a_recipe_that_does_not_hold_together(self, refused, diffusion, change, says):
        refused(diffusion, *change, says=says)

    @pytest.mark.slow
    def test_latents_that_broke_since_the_run_began(self, run, refused, diffusion, tmp_path):
        assert diffusion().code == 0
        (broken,) = (tmp_path / "latents").glob("latents-*.safetensors")
        whole = broken.read_bytes()
        broken.write_bytes(whole[:100])
        more = ("train", "diffusion", "diffusion.toml", "--device", "cpu", "--set", "run.steps=3")
        says = f"latents/{broken.name} is damaged ("
        assert "run the same `latentfoley data encode` again" in refused(run, *more, says=says)
        broken.write_bytes(whole)
        assert run(*more).code == 0
        lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]  # on from what was saved

    def test_parts_that_were_not_made_for_each_other(self, refused, diffusion):
        new = NEW.replace("latent_channels = 4", "latent_channels = 2").partition("[model]")
        old = 'start = "model"'
        says = "do not fit together: latent channels of unet and vae: 2, 4"
        refused(diffusion, old, new[0], "".join(new[1:]), says=says)


@pytest.mark.slow
class TestExport:
    def test_from_recordings_to_sounds(self, run, diffusion):
        assert diffusion().code == 0
        end = run("train", "export", "run", "mine")
        assert (end.code, end.err) == (0, "")
        assert end.out.startswith("mine  ")
        words = ("--steps", 1, "--duration", 0.1, "--model", "mine")
        assert run("generate", "rain", *words).code == 0

    def test_an_adapter_alone(self, run, diffusion, tmp_path):
        assert diffusion("[data]", "[lora]\nrank = 2\n[data]").code == 0
        assert run("train", "export", "run", "mine", "--adapter").code == 0
        names = sorted(path.name for path in (tmp_path / "mine").iterdir())
        assert names == ["adapter_config.json", "adapter_model.safetensors", "latentfoley.json"]
        words = ("--steps", 1, "--duration", 0.1, "--model", "model", "--lora", "mine")
        assert run("generate", "rain", *words, "-o", "rain.wav").code == 0
        end = run("info", "rain.wav")
        assert "mine (hash " in end.out and "--lora mine" in end.out

    def test_an_adapter_is_stored_as_it_was_trained(self, run, refused):
        refused(
            run, "train", "export", "run", "mine", "--adapter", "--half", says="--adapter or --half"
        )

    def test_an_unfinished_run(self, run, refused, tmp_path):
        (tmp_path / "run").mkdir()
        says = "run/model/recipe.json is missing: give the folder of a finished run"
        refused(run, "train", "export", "run", "model", says=says)

    def test_over_another_model(self, run, refused, diffusion, tmp_path):
        diffusion()
        (tmp_path / "mine").mkdir()
        refused(run, "train", "export", "run", "mine", says="mine exists already")


@pytest.mark.slow
class TestReport:
    def test_a_run_of_the_trainer_has_a_page(self, vae, run, tmp_path):
        assert vae().code == 0
        end = run("train", "report", "run")
        assert (end.code, end.err) == (0, "")
        *lines, verdict, path = end.out.splitlines()
        assert path == "run/report.html"
        assert verdict.endswith("could not be measured.")
        assert any(line.startswith("The loss diverges: not measured, because") for line in lines)
        assert (tmp_path / path).read_text().endswith("</html>\n")

    def test_where_it_is_written_is_asked_for(self, vae, run, tmp_path):
        assert vae().code == 0
        assert run("train", "report", "run", "--out", "pages/vae.html").code == 0
        assert (tmp_path / "pages" / "vae.html").is_file()
        assert not (tmp_path / "run" / "report.html").exists()

    def test_a_run_that_is_none(self, run, refused, tmp_path):
        (tmp_path / "runs").mkdir()
        refused(run, "train", "report", "run", says="there is no run at 'run'. Nearest there: runs")
        refused(run, "train", "report", "runs", says="there is no log at 'runs/log.jsonl'")
