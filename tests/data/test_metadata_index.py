"""What is known about recordings, from every place where it may stand."""

import json
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folders import LAYOUTS, audiocaps, sound, write
from latentfoley.data.metadata import Metadata
from latentfoley.data.metadata_index import DiskTable, MetadataIndex, choose_layout
from latentfoley.data.prepare import prepare
from latentfoley.data.scan import scan
from latentfoley.errors import InputError


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_it_is_found_out_and_read(self, tmp_path, layout):
        expected = LAYOUTS[layout](tmp_path)
        with MetadataIndex(tmp_path) as index:
            assert index.layout == layout
            for path, metadata in expected.items():
                known = index.find(path).model_dump()
                assert {name: known[name] for name in metadata} == metadata, path
            assert index.skipped == []

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_one_that_the_folder_has_not(self, tmp_path, layout):
        with pytest.raises(InputError, match=f"is not laid out as {layout}: .* looks like plain"):
            choose_layout(tmp_path, layout)

    def test_an_unknown_one(self, tmp_path):
        with pytest.raises(InputError, match=r"unknown layout 'ecs50'; .* Did you mean 'esc50'"):
            choose_layout(tmp_path, "ecs50")

    def test_plain_reads_no_tables(self, tmp_path):
        LAYOUTS["table"](tmp_path)
        with MetadataIndex(tmp_path, "plain") as index:
            assert index.find("mine/audio/a.wav") == Metadata()

    def test_two_tables_with_the_same_names(self, tmp_path):
        for name in ("one", "two"):
            write(tmp_path / name / "metadata.csv", f"path,caption\na.wav,{name}\n")
        with MetadataIndex(tmp_path) as index:
            assert index.find("one/a.wav").captions == ("one",)
            assert index.find("two/deep/a.wav").captions == ("two",)

    def test_a_table_that_is_closed_is_reported(self, tmp_path, monkeypatch):
        LAYOUTS["audiocaps"](tmp_path)
        path_open = type(tmp_path).open

        def refuse(path, *words, **more):
            if path.suffix == ".csv":
                raise PermissionError(13, "Permission denied")
            return path_open(path, *words, **more)

        monkeypatch.setattr(type(tmp_path), "open", refuse)
        with MetadataIndex(tmp_path) as index:
            assert index.layout == "table"
            assert {fault.path for fault in index.skipped} == {"train.csv", "test.csv"}


class TestTables:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("c.csv", "file_name,text\na.wav,rain\n"),
            ("c.tsv", "filename\tcaption\na\train\n"),
            ("c.jsonl", '{"audio": "a.wav", "captions": ["rain", 7, null]}\n\n'),
            ("c.csv", "\ufeffFile, Caption \r\n./a.wav, rain\r\n"),
        ],
    )
    def test_from_elsewhere(self, tmp_path, name, text):
        write(tmp_path / "tables" / name, text)
        (tmp_path / "sounds").mkdir()
        with MetadataIndex(tmp_path / "sounds", captions=tmp_path / "tables" / name) as index:
            assert index.find("deep/a.wav").captions[0] == "rain"

    @pytest.mark.parametrize(
        ("name", "text", "fault"),
        [
            ("t.jsonl", '{"path": "a.wav"}\n{"path"\n', "t.jsonl:2: not JSON"),
            ("t.jsonl", "[1]\n", "t.jsonl:1: expected a JSON object, got list"),
            ("t.jsonl", "[" * 100_000, "t.jsonl:1: not JSON"),
            ("t.csv", "path,caption\na.wav,rain, sea\n", "t.csv:2: more fields than columns"),
            ("t.csv", "name,text\na,rain\nb,sea\n", "t.csv: 2 of 2 rows name no file"),
            ("t.csv", 'path,text\na.wav,"' + "x" * 200_000, "t.csv:2: a quote that is opened here"),
        ],
    )
    def test_what_is_wrong_with_them_is_said(self, tmp_path, name, text, fault):
        write(tmp_path / name, text)
        with MetadataIndex(tmp_path) as index:
            ((path, reason),) = index.skipped
        assert f"{path}: {reason}".startswith(fault)

    @pytest.mark.parametrize(
        ("name", "says"),
        [("cations.csv", "Nearest there: captions.csv"), ("a.txt", "captions come from .csv, ")],
    )
    def test_no_such_table(self, tmp_path, name, says):
        (tmp_path / "captions.csv").touch()
        (tmp_path / "a.txt").touch()
        with pytest.raises(InputError, match=says):
            MetadataIndex(tmp_path, captions=tmp_path / name)


class TestBeside:
    @pytest.fixture
    def metadata(self, tmp_path):
        """Write files beside `deep/rain.wav`; return what is known of it then."""
        sound(tmp_path / "deep/rain.wav")

        def metadata(**files):
            for name, text in files.items():
                write(tmp_path / name.replace("__", "/").replace("_", "."), text)
            with MetadataIndex(tmp_path) as index:
                return index.find("deep/rain.wav"), index.skipped

        return metadata

    def test_a_text_holds_a_caption_a_line(self, metadata):
        known, _ = metadata(deep__rain_txt="rain on a roof\n\n  a  downpour\r\n")
        assert known.captions == ("rain on a roof", "a downpour")

    def test_a_json_holds_anything_a_table_does(self, metadata):
        known, _ = metadata(
            deep__rain_json='{"caption": "rain", "tags": "wet, roof", "license": "X"}'
        )
        assert known == Metadata(captions=("rain",), labels=("wet", "roof"), licence="X")

    @pytest.mark.parametrize("text", ["[", "7", "[" * 100_000])
    def test_a_json_that_is_none_is_said(self, metadata, text):
        known, faults = metadata(deep__rain_json=text)
        assert known == Metadata()
        assert faults[0].path == "rain.json"

    def test_half_a_character_is_replaced(self, metadata):
        known, _ = metadata(deep__rain_json='{"caption": "\\ud800"}')
        assert known.captions == ("?",)

    def test_a_name_as_long_as_a_disk_takes(self, tmp_path):
        name = "x" * 251 + ".wav"
        sound(tmp_path / name)
        with MetadataIndex(tmp_path) as index:
            assert index.find(name) == Metadata()

    def test_the_nearest_licence_counts(self, metadata):
        assert metadata(LICENSE="\nMIT License\n")[0].licence == "MIT License"
        assert metadata(deep__COPYING_txt="CC-BY\n")[0].licence == "CC-BY"
        spdx = "SPDX-FileCopyrightText: Ann\n\nSPDX-License-Identifier: CC0-1.0\n"
        assert metadata(deep__rain_wav_license=spdx)[0].licence == "CC0-1.0"
        assert metadata(deep__rain_json='{"licence": "X"}')[0].licence == "X"

    def test_captions_of_all_places_are_kept_the_nearest_first(self, metadata):
        known, _ = metadata(t_csv="path,caption\nrain.wav,table\n", deep__rain_txt="beside")
        assert known.captions == ("beside", "table")


keys = st.text("aé雨\x00' ", max_size=4)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(keys, keys), max_size=8), asked=keys)
def test_a_dictionary_on_disk_is_a_dictionary(pairs, asked):
    expected = {}
    with DiskTable() as table:
        for key, text in pairs:
            assert table.setdefault(key, "first") == expected.setdefault(key, "first")
            table[key] = expected[key] = text
        assert len(table) == len(expected)
        assert table.get(asked) == expected.get(asked)


class TestRowsAndRecordings:
    @pytest.fixture
    def matched(self, tmp_path):
        """Return a function that says what a row of a table matches, and what is said of it."""

        def matched(named, recording="audio/a.wav", table="meta.csv", **options):
            write(tmp_path / "data" / table, f"path,caption\n{named},rain\n")
            (tmp_path / "data/audio").mkdir(exist_ok=True)
            with MetadataIndex(tmp_path / "data", **options) as index:
                captions = index.find(recording).captions
                return captions == ("rain",), [reason for _, reason in index.unmatched()]

        return matched

    @pytest.mark.parametrize(
        ("table", "named"),
        [
            ("meta.csv", "audio/../audio/./a.wav"),
            ("meta.csv", "audio\\a.wav"),
            ("meta/meta.csv", "../audio/a.wav"),
            ("audio/meta.csv", "a.wav"),
        ],
    )
    def test_a_path_that_leads_there(self, matched, table, named):
        assert matched(named, table=table) == (True, [])

    def test_two_columns_of_one_name(self, tmp_path):
        write(tmp_path / "data/meta.csv", "path,caption,Caption,caption\na.wav,rain,,\n")
        with MetadataIndex(tmp_path / "data") as index:
            said = ("meta.csv:1", "two columns are called 'caption'; rename one")
            assert index.skipped == [said]

    def test_an_absolute_path(self, matched, tmp_path, monkeypatch):
        assert matched(tmp_path / "data/audio/a.wav") == (True, [])
        (tmp_path / "link").symlink_to(tmp_path / "data")
        assert matched(tmp_path / "link/../data/audio/a.wav") == (True, [])

    @pytest.mark.parametrize("named", ["data/audio/a.wav", "audio/a.wav", "a"])
    def test_a_table_beside_the_folder(self, matched, tmp_path, named):
        write(tmp_path / "captions.csv", f"path,caption\n{named},rain\n")
        with MetadataIndex(tmp_path / "data", captions=tmp_path / "captions.csv") as index:
            assert index.find("audio/a.wav").captions == ("rain",)
            assert index.unmatched() == []

    @pytest.mark.parametrize(("table", "disk"), [("NFC", "NFD"), ("NFD", "NFC")])
    def test_forms_of_unicode(self, matched, table, disk):
        named, there = (normalize(form, "audio/Größe.wav") for form in (table, disk))
        assert matched(named, there) == (True, [])

    @pytest.mark.parametrize(
        ("named", "nearest"),
        [
            ("audio/A.WAV", " Nearest: 'audio/a.wav'."),
            ("/elsewhere/audio/a.wave", " Nearest: 'audio/a.wav'."),
            ("../audio/rain.flac", ""),
        ],
    )
    def test_one_that_is_not_there_is_said(self, matched, named, nearest):
        says = (
            "1 of 1 recordings that it names are not in the folder, the first of them "
            f"'{named}'.{nearest}"
        )
        assert matched(named) == (False, [says])

    def test_they_are_counted(self, tmp_path):
        rows = "".join(f"{name}.wav,rain\n" for name in ("b", "a", "\x1b[2J", "c"))
        write(tmp_path / "meta.csv", "path,caption\n" + rows)
        with MetadataIndex(tmp_path) as index:
            index.find("a.wav")
            index.find("c.wav")
            ((where, reason),) = index.unmatched()
        assert (where, reason[:6]) == ("meta.csv", "2 of 4")
        assert r"'\x1b[2J.wav'" in reason

    def test_clips_of_a_data_set_without_sound_may_be_gone(self, tmp_path):
        audiocaps(tmp_path)
        with MetadataIndex(tmp_path) as index:
            assert "recordings that it names are not" in index.unmatched()[0].reason
            index.find("test/Yabcdefghij_20.wav")
            assert index.unmatched() == []

    def test_scan_and_prepare_say_it_alike(self, tmp_path):
        sound(tmp_path / "in/a.wav")
        write(tmp_path / "in/meta.csv", "path,caption\na.wav,rain\nb.wav,sea\n")
        (said,) = scan(tmp_path / "in", workers=1).broken
        assert said.reason.startswith("1 of 2 recordings that it names are not in the folder")
        assert prepare(tmp_path / "in", tmp_path / "out", workers=1).n_skipped == 1
        assert json.loads((tmp_path / "out/skipped.jsonl").read_text()) == said._asdict()


def test_a_recording_of_audiocaps_is_counted_once(tmp_path):
    rows = [f"{k},{'abcdefghijk'[k // 2]},10,caption {k}" for k in range(6)]
    (tmp_path / "test.csv").write_text(
        "\n".join(["audiocap_id,youtube_id,start_time,caption", *rows])
    )
    with MetadataIndex(tmp_path) as index:
        assert (index.layout, index.n_rows) == ("audiocaps", 3)
        assert len(index.find("a.wav").captions) == 2
