"""Files of prompts as programs and people write them, and the lines that cannot be used."""

import codecs

import pytest

from latentfoley.data.prompts import PromptRow, read_prompts
from latentfoley.errors import InputError

RAIN_AND_SEA = [("rain", "a.wav"), ("the sea, far", "b.wav")]


def read(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prompts(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", 'path,prompt\na.wav,rain\nb.wav,"the sea, far"\n'),
        ("p.CSV", 'File_Name , CAPTION\r\na.wav, rain\r\n\r\nb.wav, "the sea, far"\r\n'),
        ("p.csv", "text;file\nrain;a.wav\nthe sea, far;b.wav\n"),
        ("p.csv", "\n\npath; caption\na.wav; rain\nb.wav; the sea, far\n"),
        ("p.tsv", "path\tcaption\na.wav\train\nb.wav\tthe sea, far\n"),
        ("p.jsonl", '{"path": "a.wav", "Text": "rain"}\n\n{"audio": "b.wav", "captions": '
         '["the sea, far", "waves"]}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_all_kinds_say_the_same(tmp_path, name, text, encoding):
    rows = read(tmp_path, name, text.encode(encoding))
    assert [(row.text, row.path) for row in rows] == RAIN_AND_SEA


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_of_a_text_are_prompts(tmp_path, mark):
    rows = read(tmp_path, "p.txt", mark + "rain\r\n\n  雨, мост \n".encode())
    where = tmp_path / "p.txt"
    assert rows == [PromptRow(f"{where}:1", "rain"), PromptRow(f"{where}:3", "雨, мост")]


def test_a_row_has_a_label(tmp_path):
    rows = read(tmp_path, "p.csv", 'labels,prompt\n"dog, animal",a bark\n,rain\n')
    assert [row.label for row in rows] == ["dog", ""]


def test_clotho_numbers_its_captions(tmp_path):
    (row,) = read(tmp_path, "p.csv", "file_name,caption_1,caption_2\na.wav,rain,drops\n")
    assert (row.text, row.path) == ("rain", "a.wav")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('prompt\nrain\n"the sea\nwind\n', "p.csv:3: a quote that is opened here is never"),
        ('"prompt\nrain\n', "p.csv:1: a quote that is opened here is never closed"),
        ('prompt\n"rain" on a tent\n', "p.csv:2: not CSV .* write a quote inside quotes twice"),
        ("prompt\nrain\nthe sea, far\n", "p.csv:3: more fields than columns, from 'far' on"),
        ("prompt\nrain\ncafé\n".encode("latin-1"), "p.csv:3: not text in UTF-8"),
        ("prompt\nrain\n\n \n", "p.csv:4: no text under 'prompt', 'caption' or 'text'"),
        ("captoin\nrain\n", "p.csv:2: no text under 'prompt', 'caption' or 'text'"),
        ("prompt\n", "p.csv holds no prompts"),
        ("prompt,Prompt \nrain,sea\n", "p.csv:1: two columns are called 'prompt'; rename one"),
        ("prompt\nrain\n\0\n", "p.csv:3: holds a NUL"),
        ("prompt\nrain\n".encode("utf-16-le"), "p.csv:1: holds a NUL.* UTF-16 without its mark"),
        ("prompt\nrain\n".encode("utf-16")[:-1], "p.csv:2: not text in UTF-16"),
    ],
)
def test_the_line_is_named(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read(tmp_path, "p.csv", text)


TEXTS = ["café", "un été à Paris", "“rain”", "a dog’s bark – far", "дождь", "雨の音", "größer"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_was_read_in_another_encoding_is_refused(tmp_path, text):
    damaged = "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode()
    )
    with pytest.raises(InputError, match=r"p\.txt:2: the text is damaged at"):
        read(tmp_path, "p.txt", f"rain\n{damaged}\n")


@pytest.mark.parametrize(
    "text", [*TEXTS, "AMANHÃ”", "«CAFÉ»", "blessé…”", "Ñandú €5", "rain 20 °C", "2 × ½"]
)
def test_good_text_is_taken(tmp_path, text):
    (row,) = read(tmp_path, "p.txt", text)
    assert row.text == text


def test_lines_of_bytes_are_no_prompts(tmp_path):
    (tmp_path / "p.txt").write_bytes("rain\nsea\n".encode("utf-16-le"))
    with pytest.raises(InputError, match=r"p\.txt:1: holds a NUL"):
        read_prompts(tmp_path / "p.txt")


def test_two_values_of_one_name(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "rain", "prompt": "sea"}')
    with pytest.raises(InputError, match=r"p\.jsonl:1: not JSON \(two values are called 'prompt'"):
        read_prompts(tmp_path / "p.jsonl")


def test_columns_without_a_name_are_no_two(tmp_path):
    (tmp_path / "p.csv").write_text("prompt,,\nrain,,\n")
    assert [row.text for row in read_prompts(tmp_path / "p.csv")] == ["rain"]
