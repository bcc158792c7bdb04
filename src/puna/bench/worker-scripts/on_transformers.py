"""Transformers as a worker, in bf16 or fp32 as the job says; it reads the GGUF file itself."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from protocol import Candidates, Engine, Job, common, serve

_TOGETHER = 25  # candidates in a batch: each needs a copy of the text's keys and values


class Transformers(Engine):
    """A model and the cache of what it read."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.about = f"transformers {transformers.__version__}, torch {torch.__version__}, {job['dtype']}"
        self._path = Path(job["model"])
        self._dtype = getattr(torch, job["dtype"])
        self._end: int = job["end"]
        self._tokens: list[int] = []
        torch.set_num_threads(job["threads"])

    def load(self) -> None:
        """Load the model."""
        vars(self).pop("_model", None)
        self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            str(self._path.parent), gguf_file=self._path.name, dtype=self._dtype
        ).eval()
        self.forget()

    def forget(self) -> None:
        """Start with an empty cache."""
        self._cache, self._tokens = transformers.DynamicCache(), []

    @torch.inference_mode()
    def read(self, tokens: Sequence[int]) -> None:
        """Read what does not stand in the cache."""
        kept = min(common(self._tokens, tokens), len(tokens) - 1)
        if kept < len(self._tokens):
            self._cache.crop(kept - len(self._tokens))  # a negative number: how many to take away
        self._next = self._forward([tokens[kept:]], self._cache, last=True)[0, -1]
        self._tokens = list(tokens)

    @torch.inference_mode()
    def write(self, count: int) -> None:
        """Write greedily."""
        for _ in range(count):
            token = int(self._next.argmax())
            self._next = self._forward([[token]], self._cache, last=True)[0, -1]
            self._tokens.append(token)

    @torch.inference_mode()
    def rank(self, candidates: Candidates) -> list[float]:
        """Rank in the fastest of three ways."""
        ways = {
            "batches over copies of the kept text": self._together,
            "one by one behind it": self._one_by_one,
            "all in one row, with a mask of four dimensions": self._packed,
        }
        return self.fastest(candidates, ways)

    def _together(self, candidates: Candidates) -> list[float]:
        first = self._next.float().log_softmax(-1)
        totals = []
        for start in range(0, len(candidates), _TOGETHER):
            part = candidates[start : start + _TOGETHER]
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(part))
            longest = max(map(len, part))
            # Behind each candidate stands padding, which no token of its own sees.
            rows = [[*candidate, *[0] * (longest - len(candidate))] for candidate in part]
            logs = self._forward(rows, cache).float().log_softmax(-1)
            totals += [self._total(first, each, candidate) for each, candidate in zip(logs, part, strict=True)]
        return totals

    def _one_by_one(self, candidates: Candidates) -> list[float]:
        first = self._next.float().log_softmax(-1)
        totals = []
        for candidate in candidates:
            logs = self._forward([candidate], self._cache).float().log_softmax(-1)[0]
            self._cache.crop(-len(candidate))
            totals.append(self._total(first, logs, candidate))
        return totals

    def _packed(self, candidates: Candidates) -> list[float]:
        first = self._next.float().log_softmax(-1)
        owner = torch.tensor([n for n, candidate in enumerate(candidates) for _ in candidate])
        depth = torch.tensor([n for candidate in candidates for n in range(len(candidate))])
        text = self._cache.get_seq_length()
        seen = (owner[:, None] == owner) & (depth[:, None] >= depth)
        seen = torch.cat((torch.ones(len(owner), text, dtype=torch.bool), seen), dim=1)
        mask = torch.zeros(seen.shape, dtype=self._dtype).masked_fill(~seen, torch.finfo(self._dtype).min)
        row = [token for candidate in candidates for token in candidate]
        more = {"attention_mask": mask[None, None], "position_ids": (text + depth)[None]}
        logs = self._forward([row], self._cache, **more).float().log_softmax(-1)[0]
        self._cache.crop(-len(row))
        parts = torch.split(logs, [len(candidate) for candidate in candidates])
        return [self._total(first, each, candidate) for each, candidate in zip(parts, candidates, strict=True)]

    def _total(self, first: torch.Tensor, logs: torch.Tensor, candidate: Sequence[int]) -> float:
        targets = torch.tensor([*candidate[1:], self._end])
        return float(first[candidate[0]] + logs[torch.arange(len(targets)), targets].sum())

    def _forward(
        self, rows: Sequence[Sequence[int]], cache: Any, *, last: bool = False, **more: torch.Tensor
    ) -> torch.Tensor:
        """Give logits [rows, tokens, V]; of the last token alone where the others are not needed."""
        found = self._model(
            torch.tensor(rows), past_key_values=cache, use_cache=True, logits_to_keep=1 if last else 0, **more
        )
        logits: torch.Tensor = found.logits
        return logits


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    serve(Transformers)
