"""OpenVINO GenAI's own pipeline as a worker: it loads, reads and writes; ranking is not among what it offers."""

from collections.abc import Sequence

import numpy as np
import openvino
import openvino_genai
from protocol import Engine, Job, serve


class GenAI(Engine):
    """The pipeline with paged attention. Its prefix cache is off: else it would not read what it has read before."""

    ranks = False

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.about = f"openvino-genai {openvino_genai.__version__.split('-')[0]}"
        self._path: str = job["model"]
        self._threads: int = job["threads"]
        self._tokens: list[int] = []

    def load(self) -> None:
        """Make the pipeline anew."""
        vars(self).pop("_pipeline", None)
        settings = openvino_genai.SchedulerConfig()
        settings.enable_prefix_caching = False
        settings.max_num_batched_tokens = 8192  # a text is read in one piece
        self._pipeline = openvino_genai.LLMPipeline(
            self._path, "CPU", scheduler_config=settings, INFERENCE_NUM_THREADS=self._threads
        )

    def forget(self) -> None:
        """Keep nothing: no call knows of another."""

    def read(self, tokens: Sequence[int]) -> None:
        """Read, which is writing one token."""
        self._tokens = list(tokens)
        self._generate(1)

    def decode(self, count: int) -> float:
        """Give tokens a second after the first one, as the pipeline measures them: what was read is read again."""
        milliseconds: float = self._generate(count + 1).perf_metrics.get_tpot().mean
        return 1000 / milliseconds

    def _generate(self, count: int) -> openvino_genai.EncodedResults:
        settings = openvino_genai.GenerationConfig()
        settings.max_new_tokens, settings.ignore_eos, settings.do_sample = count, True, False
        tokens = np.array([self._tokens], np.int64)
        given = openvino_genai.TokenizedInputs(openvino.Tensor(tokens), openvino.Tensor(np.ones_like(tokens)))
        return self._pipeline.generate(given, settings)


if __name__ == "__main__":
    serve(GenAI)
