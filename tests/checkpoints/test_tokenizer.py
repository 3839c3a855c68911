"""Tokens are those of transformers, with and without its reading of the folder."""

import json
import shutil

import pytest
import torch

from latentfoley.checkpoints.tokenizer import Tokenizer, read_with_transformers
from latentfoley.errors import ModelError
from latentfoley.loading import RESOURCES

EMBEDDED = RESOURCES / "tiny" / "tokenizer"
TEXTS = [
    "",
    "a dog barking",
    "Rain!",
    "雨 🐕",
    "tick-tock's",
    "Señor\n\tNaïve",
    "a " * 600,
    "[SEP]",
]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory):
    """A tokenizer of either family in which CLAP's towers come."""
    if request.param == "bert":
        return EMBEDDED
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {c: n for n, c in enumerate([*marks, *sorted(ByteLevel.alphabet()), "do", "ai"])}
    tokenizer = RobertaTokenizer(
        vocab=vocabulary, merges=[("d", "o"), ("a", "i")], model_max_length=512
    )
    place = tmp_path_factory.mktemp("roberta")
    tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize("most", [8, 77, 10**6])
def test_tokens_are_those_of_transformers(folder, most):
    theirs = read_with_transformers(folder)(
        TEXTS, padding=True, truncation=True, max_length=min(most, 512), return_tensors="pt"
    )
    ids, mask = Tokenizer.read(folder).encode(TEXTS, most)
    assert torch.equal(ids, theirs["input_ids"])
    assert torch.equal(mask, theirs["attention_mask"])


def test_words_are_those_of_transformers(folder):
    theirs = read_with_transformers(folder)
    numbers = sorted(theirs.get_vocab().values())[:300]
    assert Tokenizer.read(folder).words()[:300] == [theirs.decode([n]) for n in numbers]


def test_a_folder_without_its_file_is_read_by_transformers(folder, tmp_path):
    theirs = read_with_transformers(folder)
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    (old / "tokenizer.json").unlink()
    words = json.dumps(theirs.get_vocab())
    (old / "vocab.json").write_text(words)
    (old / "vocab.txt").write_text(
        "\n".join(sorted(theirs.get_vocab(), key=theirs.get_vocab().get))
    )
    (old / "merges.txt").write_text("#version: 0.2\nd o\na i\n")
    ids, _ = Tokenizer.read(old).encode(["a dog"], 77)
    assert torch.equal(ids, Tokenizer.read(folder).encode(["a dog"], 77)[0])


@pytest.mark.parametrize("content", ["", "{}", "[1"])
def test_a_damaged_one_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Tokenizer.read(tmp_path)


def test_a_padding_that_is_no_token_is_named(tmp_path):
    shutil.copy(EMBEDDED / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": "<nothing>"}')
    with pytest.raises(ModelError, match="padding '<nothing>' is no token"):
        Tokenizer.read(tmp_path)
