"""Reference sets of the field: which recordings, which prompt, and what is missing."""

import pytest

import folders
from latentfoley.errors import InputError
from latentfoley.evaluation.sets.datasets import DATASETS, read_dataset


def prompts(found):
    return {clip.key: clip.caption for clip in found.clips}


class TestAudiocaps:
    def test_a_clip_has_its_first_caption_whatever_its_file_is_called(self, tmp_path):
        folders.audiocaps_split(tmp_path)
        found = read_dataset(tmp_path, "audiocaps")
        assert prompts(found) == {
            "test/22": "Caption 1, of b",  # by the number of its second caption
            "test/Yaaaaaaaaaaa": "Caption 1, of a",
        }
        assert found.about["clips"] == "2 of 3 that the split names"
        assert "first caption" in found.about["prompts"]

    def test_missing_recordings_and_copies_are_told(self, tmp_path):
        folders.audiocaps_split(tmp_path)
        missing, copies = read_dataset(tmp_path, "audiocaps").warnings
        assert missing.startswith("1 of the 3 recordings that audiocaps test names are not there")
        assert copies.startswith("1 files are further copies")

    def test_no_recordings(self, tmp_path):
        folders.audiocaps_split(tmp_path)
        for file in tmp_path.rglob("*.wav"):
            file.unlink()
        with pytest.raises(InputError, match="names 3 recordings, and none of them is there"):
            read_dataset(tmp_path, "audiocaps")

    def test_a_split_that_is_not_there(self, tmp_path):
        folders.audiocaps_split(tmp_path)
        with pytest.raises(InputError, match=r"no split 'tset' of audiocaps.*Did you mean 'test'"):
            read_dataset(tmp_path, "audiocaps", "tset")


def test_clotho_has_the_first_of_five(tmp_path):
    folders.clotho(tmp_path)
    folders.sound(tmp_path / "evaluation/other.wav")
    table = tmp_path / "clotho_captions_evaluation.csv"
    table.write_text(table.read_text() + 'other.wav,"o, 1",o2,o3,o4,o5\n')
    assert prompts(read_dataset(tmp_path, "clotho")) == {
        "evaluation/A b  (c)": "eval, 1",
        "evaluation/other": "o, 1",
    }
    with pytest.raises(InputError, match="one recording"):
        read_dataset(tmp_path, "clotho", "development")


class TestEsc50:
    def test_labels_become_prompts(self, tmp_path):
        folders.esc50_split(tmp_path)
        found = read_dataset(tmp_path, "esc50")
        assert set(prompts(found).values()) == {"a sound of dog", "a sound of sea waves"}
        assert len(found.clips) == 3
        assert '"a sound of LABEL' in found.about["prompts"]

    def test_a_fold_is_a_split(self, tmp_path):
        folders.esc50_split(tmp_path)
        found = read_dataset(tmp_path, "esc50", "2")
        assert {key.partition("/")[2][0] for key in prompts(found)} == {"2"}
        assert found.about["clips"] == "2 of 3 that the split names"
        with pytest.raises(InputError, match="no split '7' of esc50"):
            read_dataset(tmp_path, "esc50", "7")


class TestAudioset:
    @pytest.fixture
    def folder(self, tmp_path):
        rows = "".join(f'{c * 11}, 0, 10, "/m/1,/m/2"\n' for c in "ab")
        head = "# YTID, start_seconds, end_seconds, positive_labels\n"
        folders.write(tmp_path / "eval_segments.csv", head + rows)
        names = 'index,mid,display_name\n0,/m/1,"Speech"\n1,/m/2,"Rain, drizzle"\n'
        folders.write(tmp_path / "class_labels_indices.csv", names)
        for c in "ab":
            folders.sound(tmp_path / f"eval/Y{c * 11}.wav")
        return tmp_path

    def test_all_labels_are_in_the_prompt(self, folder):
        found = read_dataset(folder, "audioset")
        assert set(prompts(found).values()) == {"a sound of speech and rain, drizzle"}

    def test_labels_need_their_names(self, folder):
        (folder / "class_labels_indices.csv").unlink()
        with pytest.raises(InputError, match="no names without class_labels_indices"):
            read_dataset(folder, "audioset")


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_of_another_layout_is_refused(tmp_path, name):
    folders.table(tmp_path)
    with pytest.raises(InputError, match=f"not laid out as {name}.*looks like table"):
        read_dataset(tmp_path, name)


def test_a_row_that_cannot_be_read_is_an_error_not_a_smaller_set(tmp_path):
    folders.audiocaps_split(tmp_path)
    table = tmp_path / "test.csv"
    table.write_text(table.read_text() + "99,eeeeeeeeeee,0,comma, without quotes\n")
    with pytest.raises(InputError, match=r"test\.csv:8: more fields than columns"):
        read_dataset(tmp_path, "audiocaps")
