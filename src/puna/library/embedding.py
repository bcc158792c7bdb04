"""Vectors of texts, by a sentence-embedding model of the user's choice (the extra `vectors`)."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from puna.errors import InputError, shown

_BATCH = 32


class Embedder(Protocol):
    """What gives texts their vectors. `name`: what a library remembers it by."""

    name: str

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Give a vector of each passage, [N, D]; inner products say how near they are."""

    def query(self, question: str) -> npt.NDArray[np.float32]:
        """Give the vector of a question, [D]."""


class SentenceEmbedder:
    """A model of the sentence-transformers library, by the name of a folder or on the hub; vectors of length 1.

    Weights are read from safetensors only, and no code that comes with a model is run. A passage that is longer than
    the model reads is cut by it.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        if find_spec("sentence_transformers") is None:
            raise InputError("E-LIBRARY-EMBEDDER-MISSING")
        from sentence_transformers import SentenceTransformer

        self.name = name
        try:
            self._model: Any = SentenceTransformer(
                name, device=device, trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:  # of the hub, of files, of configurations: the library lets all kinds through
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError("E-LIBRARY-EMBEDDER", model=shown(name), reason=shown(reason, 200)) from error

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See Embedder."""
        found = self._model.encode_document(
            list(texts), batch_size=_BATCH, show_progress_bar=False, normalize_embeddings=True
        )
        return np.asarray(found, np.float32)

    def query(self, question: str) -> npt.NDArray[np.float32]:
        """See Embedder."""
        found = self._model.encode_query(question, show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(found, np.float32)
