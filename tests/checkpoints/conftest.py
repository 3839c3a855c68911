"""Checkpoint files in the authors' format, and the tokenizer that they lack."""

import pytest
import torch

import authors
import micro


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A folder with a small tokenizer, its vocabulary within that of the small text tower."""
    folder = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    micro.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_state():
    """The tensors of a checkpoint in miniature."""
    shapes = authors.small()
    word = "cond_stage_model.model.text_branch.embeddings.word_embeddings.weight"
    shapes[word] = (len(micro.VOCABULARY), 64)
    return authors.checkpoint(shapes)


@pytest.fixture(scope="session")
def small_ckpt(small_state, tmp_path_factory):
    """The same as a file; read only."""
    path = tmp_path_factory.mktemp("ckpt") / "audioldm-mini.ckpt"
    torch.save({"state_dict": small_state}, path)
    return path
