"""What a run left is read as far as it goes; what cannot be read is said."""

import json

import pytest

from latentfoley.errors import RecipeError, UserError
from latentfoley.training.report.run import read_run
from runs import course, healthy, write_run


def test_the_record_says_what_was_trained(tmp_path):
    metadata = {"kind": "clap", "recipe": {"run": {"steps": 5}}}
    run = read_run(write_run(tmp_path, course(healthy), metadata))
    assert (run.kind, run.recipe) == ("clap", metadata["recipe"])


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    folder = write_run(tmp_path, course(healthy), {"kind": "diffusion"})
    before = read_run(folder)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"step": 2000, "elapsed_s": 20')
    run = read_run(folder)
    assert run.records == before.records


def test_steps_that_were_logged_twice_count_once_and_time_goes_on(tmp_path):
    first = [{"step": step, "elapsed_s": float(step), "loss": 1.0} for step in range(0, 50, 10)]
    second = [{"step": step, "elapsed_s": step - 29.0, "loss": 2.0} for step in range(30, 60, 10)]
    run = read_run(write_run(tmp_path, first + second))
    losses = run.series("loss")
    assert losses.steps.tolist() == [0, 10, 20, 30, 40, 50]
    assert losses.values.tolist() == [1, 1, 1, 2, 2, 2]
    assert run.seconds == 40 + 21


def test_previews_are_gathered_by_step_and_row(tmp_path):
    folder = write_run(tmp_path, course(healthy))
    (folder / "previews").mkdir()
    names = [f"0000100-{row}-{k}.wav" for row in ("encoded", "generated") for k in (10, 2)]
    for name in [*names, "0000100.png", "0000050.png", "notes.txt", "0000100-a-b.wav"]:
        (folder / "previews" / name).touch()
    (folder / "previews" / "0000050.json").write_text('{"rain": 0.5}')
    first, last = read_run(folder).previews
    assert (first.step, first.shares, first.generated) == (50, {"rain": 0.5}, {})
    assert {k: path.name for k, path in last.recordings.items()} == {10: names[0], 2: names[1]}
    assert {k: path.name for k, path in last.generated.items()} == {10: names[2], 2: names[3]}
    assert last.picture is not None


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (None, "there is no log at"),
        ("", "holds no step yet"),
        ("\n\n", "holds no step yet"),
        ('{"step": 0, "loss": 1}\n{"step"\n{"step": 20, "loss": 1}\n', ":2 is not a record"),
    ],
)
def test_a_log_that_is_no_log(tmp_path, log, says):
    if log is not None:
        (tmp_path / "log.jsonl").write_text(log)
    with pytest.raises(RecipeError) as error:
        read_run(tmp_path)
    assert says in str(error.value)


def test_a_folder_without_a_record(tmp_path):
    write_run(tmp_path, course(healthy))
    (tmp_path / "run.json").unlink()
    with pytest.raises(RecipeError, match=r"there is no run\.json in"):
        read_run(tmp_path)


def test_a_kind_that_is_not_known(tmp_path):
    write_run(tmp_path, course(healthy), {"kind": "difusion"})
    with pytest.raises(RecipeError, match=r"of kind 'difusion'.*Did you mean 'diffusion'"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 5000])
def test_a_damaged_record(tmp_path, text):
    write_run(tmp_path, course(healthy))
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json is not"):
        read_run(tmp_path)


def test_no_such_run(tmp_path):
    (tmp_path / "diffusion").mkdir()
    with pytest.raises(RecipeError, match=r"no run at .* Nearest there: diffusion"):
        read_run(tmp_path / "difusion")


def test_a_log_with_numbers_that_are_none_is_read(tmp_path):
    write_run(tmp_path, course(healthy))
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": NaN, "note": "x"}\n')
    assert json.dumps(read_run(tmp_path).records) == '[{"step": 0, "loss": NaN}]'
