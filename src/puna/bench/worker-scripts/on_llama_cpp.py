"""llama.cpp as a worker, through the C interface that llama-cpp-python hands on: no Python between the tokens."""

import ctypes
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import llama_cpp as lib
import numpy as np
from arrays import log_softmax, totals
from protocol import Candidates, Engine, Job, common, serve

_SEQUENCES = 128  # in one batch; the text is sequence 0
_BATCH = 2048  # tokens in one call


class LlamaCpp(Engine):
    """A model and a context whose cells all sequences share."""

    way = "all candidates in one batch, each a sequence that shares the text's cells"

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.about = f"llama-cpp-python {lib.__version__}"
        self._path: bytes = job["model"].encode()
        self._end: int = job["end"]
        self._threads: int = job["threads"]
        self._span: int = job["span"]
        self._model: Any = None
        self._context: Any = None
        self._tokens: list[int] = []
        self._quiet = lib.llama_log_callback(lambda level, text, data: None)  # kept: the library calls it
        lib.llama_log_set(self._quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        self._batch = lib.llama_batch_init(_BATCH, 0, 1)

    def load(self) -> None:
        """Load the model and make a context."""
        if self._context:
            lib.llama_free(self._context)
            lib.llama_model_free(self._model)
        self._context, self._tokens = None, []
        self._model = lib.llama_model_load_from_file(self._path, lib.llama_model_default_params())
        if not self._model:
            raise RuntimeError("llama.cpp does not take this file")
        settings = lib.llama_context_default_params()
        settings.n_ctx = self._span + _BATCH
        settings.n_batch = _BATCH
        settings.n_seq_max = _SEQUENCES + 1
        settings.n_threads = settings.n_threads_batch = self._threads
        settings.kv_unified = True
        self._context = lib.llama_init_from_model(self._model, settings)
        if not self._context:
            raise RuntimeError("llama.cpp makes no context for this file")
        self._memory: Any = lib.llama_get_memory(self._context)
        self._width: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model))

    def forget(self) -> None:
        """Empty the cells."""
        lib.llama_memory_clear(self._memory, False)
        self._tokens = []

    def read(self, tokens: Sequence[int]) -> None:
        """Read what does not stand in the cells."""
        kept = min(common(self._tokens, tokens), len(tokens) - 1)
        lib.llama_memory_seq_rm(self._memory, 0, kept, -1)
        for start in range(kept, len(tokens), _BATCH):
            part = tokens[start : start + _BATCH]
            last = start + len(part) == len(tokens)
            rows = [(token, start + n, 0, last and n == len(part) - 1) for n, token in enumerate(part)]
            logits = self._decode(rows)
        self._next = logits[-1].copy()
        self._tokens = list(tokens)

    def write(self, count: int) -> None:
        """Write greedily."""
        for _ in range(count):
            token = int(self._next.argmax())
            self._next = self._decode([(token, len(self._tokens), 0, True)])[-1].copy()
            self._tokens.append(token)

    def rank(self, candidates: Candidates) -> list[float]:
        """Score as many candidates in a batch as it holds."""
        first = log_softmax(self._next)
        found: list[float] = []
        while len(found) < len(candidates):
            rest = candidates[len(found) : len(found) + _SEQUENCES]
            fitting = sum(size <= _BATCH for size in accumulate(map(len, rest)))
            found += self._together(rest[:fitting], first)
        return found

    def _together(self, candidates: Candidates, first: np.ndarray) -> list[float]:
        past, rows = len(self._tokens), []
        for sequence, candidate in enumerate(candidates, 1):
            lib.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
            rows += [(token, past + n, sequence, True) for n, token in enumerate(candidate)]
        logs = log_softmax(self._decode(rows))
        for sequence in range(1, len(candidates) + 1):
            lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return totals(first, logs, candidates, self._end)

    def _decode(self, rows: Sequence[tuple[int, int, int, bool]]) -> np.ndarray:
        """Compute (token, position, sequence, whether its logits are wanted), and give those logits."""
        batch, wanted = self._batch, 0
        batch.n_tokens = len(rows)
        for n, (token, position, sequence, out) in enumerate(rows):
            batch.token[n], batch.pos[n], batch.logits[n] = token, position, out
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
            wanted += out
        if code := lib.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode gave {code}")
        if not wanted:
            return np.empty((0, self._width), np.float32)
        return np.ctypeslib.as_array(lib.llama_get_logits(self._context), (wanted, self._width))


if __name__ == "__main__":
    serve(LlamaCpp)
