"""OpenVINO's runtime as a worker, on the model that OpenVINO GenAI makes of the GGUF file.

The pipeline of GenAI ranks nothing; its model, a graph that keeps keys and values as its state, can be asked for the
log-probabilities of given tokens. The head is made to compute only the rows asked for, as GenAI does.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import openvino_genai
from arrays import log_softmax, totals
from openvino import opset13 as ops
from protocol import Candidates, Engine, Job, common, serve

_TOGETHER = 25  # candidates in a batch: each needs a copy of the text's keys and values


class OpenVino(Engine):
    """A compiled graph with its state."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.about = f"openvino {openvino.__version__.split('-')[0]}"
        self._path = Path(job["model"])
        self._end: int = job["end"]
        self._threads: int = job["threads"]
        self._tokens: list[int] = []
        # GenAI puts its model beside the file that it reads: here beside a link to it.
        self._folder = tempfile.TemporaryDirectory()
        link = Path(self._folder.name, "model.gguf")
        link.symlink_to(self._path)
        openvino_genai.LLMPipeline(link, "CPU", enable_save_ov_model=True, ATTENTION_BACKEND="SDPA")
        self._graph = Path(self._folder.name, "openvino_model.xml")

    def load(self) -> None:
        """Read the graph, give its head the choice of rows, compile it."""
        vars(self).pop("_request", None)
        core = openvino.Core()
        graph = core.read_model(self._graph)
        head = graph.outputs[0].get_node().input_value(0).get_node()
        hidden = head.input_value(0)
        width = hidden.get_partial_shape()[2].get_length()
        rows = ops.parameter([-1], np.int64, name="rows")
        rows.output(0).set_names({"rows"})
        flat = ops.reshape(hidden, ops.constant(np.array([-1, width], np.int64)), False)
        head.input(0).replace_source_output(ops.gather(flat, rows, ops.constant(np.int64(0))).output(0))
        graph.add_parameters([rows])
        graph.validate_nodes_and_infer_types()
        settings = {"INFERENCE_NUM_THREADS": self._threads, "PERFORMANCE_HINT": "LATENCY"}
        self._request = core.compile_model(graph, "CPU", settings).create_infer_request()
        self.forget()

    def forget(self) -> None:
        """Empty the state."""
        self._request.reset_state()
        self._tokens = []

    def read(self, tokens: Sequence[int]) -> None:
        """Read what does not stand in the state."""
        kept = min(common(self._tokens, tokens), len(tokens) - 1)
        if kept < len(self._tokens):
            self._put([state[:, :, :kept] for state in self._kept()])
        self._next = self._infer([tokens[kept:]], kept, [len(tokens) - kept - 1])[0]
        self._tokens = list(tokens)

    def write(self, count: int) -> None:
        """Write greedily."""
        for _ in range(count):
            token = int(self._next.argmax())
            self._next = self._infer([[token]], len(self._tokens), [0])[0]
            self._tokens.append(token)

    def rank(self, candidates: Candidates) -> list[float]:
        """Rank in the faster of two ways."""
        ways = {"batches over copies of the kept text": self._together, "one by one behind it": self._one_by_one}
        return self.fastest(candidates, ways)

    def _together(self, candidates: Candidates) -> list[float]:
        return self._in_batches(candidates, _TOGETHER)

    def _one_by_one(self, candidates: Candidates) -> list[float]:
        return self._in_batches(candidates, 1)

    def _in_batches(self, candidates: Candidates, size: int) -> list[float]:
        kept, first = self._kept(), log_softmax(self._next)
        found: list[float] = []
        for start in range(0, len(candidates), size):
            part = candidates[start : start + size]
            longest = max(map(len, part))
            # Behind each candidate stands padding, which no token of its own sees.
            rows = [[*candidate, *[0] * (longest - len(candidate))] for candidate in part]
            wanted = [n * longest + at for n, candidate in enumerate(part) for at in range(len(candidate))]
            logits = self._infer(rows, len(self._tokens), wanted)
            found += totals(first, log_softmax(logits), part, self._end)
            self._put(kept)
        return found

    def _infer(self, rows: Sequence[Sequence[int]], past: int, wanted: Sequence[int]) -> np.ndarray:
        """Compute rows of tokens behind the state, whose first row all of them stand on; give the wanted logits."""
        tokens = np.array(rows, np.int64)
        count, new = tokens.shape
        inputs = {
            "input_ids": tokens,
            "attention_mask": np.ones((count, past + new), np.int64),
            "position_ids": np.tile(np.arange(past, past + new), (count, 1)),
            "beam_idx": np.zeros(count, np.int32),
            "rows": np.array(wanted, np.int64),
        }
        logits: np.ndarray = self._request.infer(inputs)[0]
        return logits

    def _kept(self) -> list[np.ndarray]:
        return [state.state.data.copy() for state in self._request.query_state()]

    def _put(self, kept: Sequence[np.ndarray]) -> None:
        for state, values in zip(self._request.query_state(), kept, strict=True):
            state.state = openvino.Tensor(np.ascontiguousarray(values))


if __name__ == "__main__":
    serve(OpenVino)
