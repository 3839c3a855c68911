"""Text → tokens, by the `tokenizer.json` of a model folder and the library that wrote it.

Reading it with transformers gives the same tokens a second and more later. Folders without that
file, which are older, are still read so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Int
from torch import Tensor

from latentfoley.checkpoints.json_files import read_json
from latentfoley.errors import ModelError


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A `tokenizers.Tokenizer` and what stands beside it in `tokenizer_config.json`.

    Attributes:
        backend: the tokenizer.
        padding: the token that fills up a batch.
        most_tokens: the longest text it says its model knows, marks included.
    """

    backend: Any
    padding: str
    most_tokens: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the tokenizer in a folder, without network and without noise.

        Raises:
            ModelError: the folder is missing or damaged.
        """
        if not (folder / "tokenizer.json").is_file():
            return cls.of(read_with_transformers(folder))
        from tokenizers import Tokenizer as Backend

        try:
            backend = Backend.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises nothing more special
            raise ModelError(f"{folder} cannot be loaded: {error}") from None
        about = read_json(folder / "tokenizer_config.json")
        padding = about.get("pad_token") or "<pad>"
        name = padding["content"] if isinstance(padding, dict) else padding
        if backend.token_to_id(name) is None:
            raise ModelError(f"{folder} cannot be loaded: its padding {name!r} is no token of it")
        return cls(backend, name, int(about.get("model_max_length") or 1e30))

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """Return the one inside a tokenizer of transformers."""
        return cls(tokenizer.backend_tokenizer, tokenizer.pad_token, tokenizer.model_max_length)

    def encode(
        self, texts: list[str], most_tokens: int
    ) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"]]:
        """Return token ids, and 1 where a text has one; what is longer than allowed is cut."""
        self.backend.enable_truncation(min(most_tokens, self.most_tokens))
        self.backend.enable_padding(
            pad_id=self.backend.token_to_id(self.padding), pad_token=self.padding
        )
        encoded = self.backend.encode_batch(texts)
        ids, mask = zip(*((one.ids, one.attention_mask) for one in encoded), strict=True)
        return torch.tensor(ids), torch.tensor(mask)

    def cuts(self, texts: list[str], most_tokens: int) -> list[str]:
        """Return the texts of which `encode` takes the beginning alone."""
        self.backend.enable_truncation(min(most_tokens, self.most_tokens))
        encoded = self.backend.encode_batch(texts)
        return [text for text, one in zip(texts, encoded, strict=True) if one.overflowing]

    def words(self) -> list[str]:
        """Return every token as it is written, in the order of their numbers."""
        numbers = sorted(self.backend.get_vocab().values())
        return [self.backend.decode([n], skip_special_tokens=False) for n in numbers]


def read_with_transformers(folder: Path) -> Any:
    """Return transformers' own tokenizer of a folder.

    Raises:
        ModelError: the folder is missing or damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is missing: {folder.parent} is not a complete model folder")
    if pipes := [path.name for path in folder.iterdir() if not (path.is_file() or path.is_dir())]:
        raise ModelError(
            f"{folder} cannot be loaded: {', '.join(pipes)} is missing, a device or a pipe"
        )
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers lets through whatever its checks raise
        raise ModelError(f"{folder} cannot be loaded: {error}") from None
