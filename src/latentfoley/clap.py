"""Text → E: the embedding that text and sound share (CLAP, Wu et al. 2022, arXiv 2211.06687).

The network is in `clap_text.py`, the tokenizer in `checkpoints/tokenizer.py`; this file returns
unit vectors. The audio tower stands in `clap_audio.py`.

Reading path: `pipeline.py` asks for E, `unet.py` receives it. It does not know about diffusion.
"""

import warnings
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentfoley.checkpoints.tokenizer import Tokenizer
from latentfoley.errors import PromptWarning, quoted
from latentfoley.notation import Embedding

_AT_ONCE = 64  # texts: bounds memory


class TextTower:
    """Any number of texts → E. The tokenizer cuts what is longer than it knows."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `text_encoder/` and `tokenizer/` of a model folder, in fp32."""
        from latentfoley.checkpoints.towers import open_text, text_network

        return cls(open_text(folder).fill(text_network), Tokenizer.read(folder / "tokenizer"))

    @torch.no_grad()
    def embed(self, texts: list[str]) -> Embedding:
        """Return one unit vector per text; the empty text is a text like any other."""
        return F.normalize(self._run(texts)[0], dim=-1)

    def warn_of_cuts(self, texts: list[str]) -> None:
        """Warn of texts that are longer than the tower reads.

        Warns:
            PromptWarning: names the text.
        """
        most = _max_tokens(self.model)
        for text in self.tokenizer.cuts(texts, most):
            warnings.warn(
                f"the model reads the first {most} tokens of a prompt, and {quoted(text[:40])}… "
                "has more: the rest says nothing",
                PromptWarning,
                stacklevel=2,
            )

    @torch.no_grad()
    def signatures(self, texts: list[str]) -> Float[Tensor, "B S"]:
        """Return unit vectors that tell known texts from unknown ones: E beside the encoder's own.

        A small CLAP maps a text that it was not trained on somewhere near those that it was; the
        sentence encoder below it still knows the difference. The cosine of two signatures is the
        mean of the cosines of both.
        """
        both = [F.normalize(vectors, dim=-1) for vectors in self._run(texts)]
        return F.normalize(torch.cat(both, dim=-1), dim=-1)

    def _run(self, texts: list[str]) -> tuple[Embedding, Float[Tensor, "B H"]]:
        """Return what is projected to E, and the encoder's first token."""
        device, projected, first_tokens = next(self.model.parameters()).device, [], []
        for i in range(0, len(texts), _AT_ONCE):
            ids, mask = self.tokenizer.encode(texts[i : i + _AT_ONCE], _max_tokens(self.model))
            output = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            projected.append(output.text_embeds)
            first_tokens.append(output.last_hidden_state[:, 0])
        return torch.cat(projected), torch.cat(first_tokens)


def _max_tokens(model: Any) -> int:
    """Return how many positions a text tower knows; RoBERTa counts them from the padding on."""
    return int(model.config.max_position_embeddings - model.config.pad_token_id - 1)
