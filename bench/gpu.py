"""One GPU: reading, writing and ranking beside Transformers on the same weights, and beside the card's own limits.

    python bench/gpu.py --json build/gpu.json --markdown docs/measured-gpu.md

Needs a GPU, torch with CUDA and Transformers; run it on a machine that does nothing else. The default model is one that
was pulled or is given (`--model`); the larger two have the shapes of Llama 3.2 1B and 3.1 8B and random weights,
in bf16: times do not depend on what the weights say. A run that was cut off goes on from its JSON, model by model.
`--device cpu --tiny` rehearses the whole in seconds.
"""

import argparse
import copy
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from torch import Tensor

from puna.llama.load import load
from puna.llama.model import Llama
from puna.llama.step import writing
from puna.rank.score import read, score
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.store import resolve

_LLAMA_3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 500000.0}
_LLAMA_3 |= {"original_max_position_embeddings": 8192}
SHAPES: dict[str, dict[str, Any]] = {
    "Llama 3.2 1B, random": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "rope_parameters": {**_LLAMA_3, "factor": 32.0},
    },
    "Llama 3.1 8B, random": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "rope_parameters": {**_LLAMA_3, "factor": 8.0},
    },
}
TINY = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
READ, WRITE, RANK = (512, 2048), (0, 512, 4096), (1000, 100)
TINY_READ, TINY_WRITE, TINY_RANK = (8, 16), (0, 20), (20, 7)
FEW, MANY = 8, 72  # tokens written: the difference of two runs is free of what comes before the first
END = 2  # the token after each candidate


class Shared(Checkpoint):
    """Transformers' weights as a checkpoint: what needs no change of type or place is not copied."""

    path, format, tokenizer_metadata, size_bytes = Path(), "shared", None, 0

    def __init__(self, peer: Any) -> None:
        self.config = peer.config.to_dict()
        self._tensors: dict[str, Tensor] = peer.state_dict()

    def names(self) -> list[str]:
        return list(self._tensors)

    def type_name(self, name: str) -> str:
        return "BF16" if self._tensors[name].dtype == torch.bfloat16 else "F32"

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        return self._tensors[name].to(dtype)


class Clock:
    """Wall time of work on a device, all of it done."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self._repeats = device, repeats

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def once(self, work: Callable[[], object]) -> float:
        """Seconds of one run."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    def __call__(self, work: Callable[[], object]) -> float:
        """Median of some runs, after two that count for nothing."""
        for _ in range(2):
            work()
        return median(self.once(work) for _ in range(self._repeats))


def limits(clock: Clock, tiny: bool) -> dict[str, float]:
    """Give the operations a second of a large bf16 product, and the bytes a second of the faster of read and copy."""
    side, many = (256, 2**20) if tiny else (8192, 2**30)
    a, b = (torch.randn(side, side, device=clock.device).bfloat16() for _ in range(2))
    large, copied = torch.randn(many, device=clock.device), torch.empty(many, device=clock.device)
    read_, copy_ = clock(large.amax), clock(lambda: copied.copy_(large))
    return {"flops": 2 * side**3 / clock(lambda: a @ b), "bandwidth": 4 * many * max(1 / read_, 2 / copy_)}


def peer_of(config: dict[str, Any], device: torch.device, dtype: torch.dtype) -> Any:
    """Make Transformers' model with random weights."""
    torch.manual_seed(0)
    made = transformers.LlamaConfig(**config, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    with torch.device(device):
        peer = transformers.AutoModelForCausalLM.from_config(made, dtype=dtype, attn_implementation="sdpa")
    return peer.eval().requires_grad_(False)


def default_peer(model: str | None, device: torch.device, dtype: torch.dtype) -> Any:
    """Give Transformers the weights of a file."""
    checkpoint = open_checkpoint(resolve(model))
    dropped = ("bos_token_id", "eos_token_id", "pad_token_id")
    peer = peer_of({k: v for k, v in checkpoint.config.items() if k not in dropped}, device, dtype)
    names = [name for name, _ in peer.named_parameters()]
    peer.load_state_dict({name: checkpoint.tensor(name, dtype) for name in names}, strict=False)
    return peer


def best(ways: dict[str, Callable[[], float]]) -> tuple[float, str, dict[str, str]]:
    """Give the least time, its way, and why others gave none: what a peer cannot do here is said, not hidden."""
    times: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, way in ways.items():
        try:
            times[name] = way()
        except Exception as error:  # a compiler that is missing or breaks
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if not times:
        raise RuntimeError(f"Transformers gave no time: {failed}")
    name = min(times, key=lambda key: times[key])
    return times[name], name, failed


class Bench:
    """Both programs over one set of weights."""

    def __init__(self, name: str, peer: Any, clock: Clock, rates: dict[str, float]) -> None:
        self.name, self.peer, self.clock, self.rates = name, peer, clock, rates
        self.model: Llama = load(Shared(peer), dtype=peer.dtype, device=clock.device)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in n]
        head = self.model.lm_head.weight
        matrices += [] if any(p is head for p in matrices) else [head]
        self.weights = sum(p.numel() for p in matrices)
        self.weight_bytes = sum(p.numel() * p.element_size() for p in matrices)

    def ids(self, count: int) -> list[int]:
        """Draw tokens, the same every time."""
        random = torch.Generator().manual_seed(count)
        return torch.randint(3, self.model.config.vocab_size, (count,), generator=random).tolist()

    def tensor(self, ids: list[int]) -> Tensor:
        """Give tokens as Transformers takes them."""
        return torch.tensor([ids], device=self.clock.device)

    def row(
        self, job: str, size: int, ours: float, theirs: tuple[float, str, dict[str, str]], limit: float | None
    ) -> dict[str, Any]:
        """Put one measurement together; times in milliseconds."""
        seconds, way, failed = theirs
        row: dict[str, Any] = {"model": self.name, "job": job, "size": size, "puna": ours * 1e3}
        row |= {"transformers": seconds * 1e3, "way": way, "failed": failed, "ratio": seconds / ours}
        row |= {"limit": limit and limit * 1e3, "share": limit and limit / ours}
        print(row, flush=True)
        return row

    def agreement(self, count: int) -> float:
        """Give the largest difference of the next token's log-probabilities: both must compute the same model."""
        ids = self.ids(count)
        ours = self.model.logits(self.model.read(ids, self.model.new_cache(count))).double().log_softmax(-1)
        theirs = self.peer(self.tensor(ids)).logits[0, -1:].double().log_softmax(-1)
        return float((ours - theirs).abs().max())

    def reading(self, count: int) -> dict[str, Any]:
        """Read a text, up to the logits of what follows."""
        ids, tensor, config = self.ids(count), self.tensor(self.ids(count)), self.model.config
        ours = self.clock(lambda: self.model.logits(self.model.read(ids, self.model.new_cache(count))))
        theirs = self.clock(lambda: self.peer(tensor, use_cache=True, logits_to_keep=1))
        head = config.vocab_size * config.width
        attended = config.layers * config.heads * config.head_dim * count**2 * 2  # half of the square: it is causal
        work = 2 * (self.weights - head) * count + 2 * head + attended
        limit = max(work / self.rates["flops"], self.weight_bytes / self.rates["bandwidth"])
        return self.row("reading", count, ours, (theirs, "sdpa", {}), limit)

    def writing(self, past: int) -> dict[str, Any]:
        """Write greedily behind a text: seconds a token."""
        ids = self.ids(past or 1)

        def ours() -> float:
            with writing(self.model, len(ids) + MANY, span=len(ids) + MANY) as follow:
                token = int(self.model.logits(self.model.read(ids, follow.cache))[0].argmax())

                def go() -> None:
                    nonlocal token
                    for _ in range(MANY - 1):
                        token = int(follow(token).argmax())

                return self.clock.once(go) / (MANY - 1)

        def theirs(static: bool) -> float:
            def go(count: int) -> Callable[[], object]:
                size = {"max_cache_len": len(ids) + MANY} if static else {}
                kind = transformers.StaticCache if static else transformers.DynamicCache
                cache = kind(config=self.peer.config, **size)

                def write() -> object:
                    nonlocal cache
                    if static:
                        cache.reset()
                    else:
                        cache = kind(config=self.peer.config)
                    options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
                    return self.peer.generate(self.tensor(ids), past_key_values=cache, **options)

                return write

            few, many = self.clock(go(FEW)), self.clock(go(MANY))
            return (many - few) / (MANY - FEW)

        for _ in range(2):
            ours()
        config, width = self.model.config, 2 if self.model.dtype == torch.bfloat16 else 4
        kept = 2 * config.layers * config.kv_heads * config.head_dim * width * len(ids)
        limit = (self.weight_bytes + kept) / self.rates["bandwidth"]
        ways = {"static cache, compiled": lambda: theirs(True), "dynamic cache": lambda: theirs(False)}
        return self.row("writing", past, median(ours() for _ in range(5)), best(ways), limit)

    def ranking(self, past: int, count: int) -> dict[str, Any]:
        """Score candidates of one to six tokens behind a text that was read; the end token counts."""
        ids = self.ids(past)
        lengths = torch.randint(1, 7, (count,), generator=torch.Generator().manual_seed(1)).tolist()
        candidates = [self.ids(past + 100 + n)[:length] for n, length in enumerate(lengths)]
        reading = read(self.model, ids)
        ours = self.clock(lambda: score(reading, candidates, end=END))
        prompt = self.peer(self.tensor(ids), use_cache=True, logits_to_keep=1)
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(c) for c in candidates], batch_first=True)
        padded = padded.to(self.clock.device)
        wanted = torch.nn.utils.rnn.pad_sequence([torch.tensor([*c, END]) for c in candidates], batch_first=True)
        real = torch.arange(wanted.shape[1])[None] <= torch.tensor(lengths)[:, None]

        def theirs() -> list[float]:
            cache = copy.deepcopy(prompt.past_key_values)
            cache.batch_repeat_interleave(count)
            places = torch.arange(past, past + padded.shape[1], device=padded.device)[None]
            out = self.peer(padded, past_key_values=cache, position_ids=places).logits
            logits = torch.cat((prompt.logits.expand(count, -1, -1), out), 1).float().log_softmax(-1)
            every = logits.gather(-1, wanted.to(logits.device)[..., None])[..., 0].cpu()
            return (every * real).sum(1).tolist()

        mine = [float(each.sum()) for each in score(reading, candidates, end=END)]
        apart = max(abs(a - b) for a, b in zip(mine, theirs(), strict=True))
        row = self.row("ranking", past, ours, (self.clock(theirs), "one batch", {}), None)
        return {**row, "candidates": count, "apart": apart}


def page(command: str, facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Lay the rows out."""
    names = {
        "reading": "reading {size:,} tokens, ms",
        "writing": "writing after {size:,} tokens, ms a token",
        "ranking": "ranking {candidates} candidates after {size:,} tokens, ms",
    }
    apart = ", ".join(f"{name} {value:.2g}" for name, value in facts["apart"].items())
    lines = [
        "# Measured: one GPU",
        "",
        f"Written by `{command}` on {facts['date']}: {facts['card']}, torch {facts['torch']}, transformers "
        f"{facts['transformers']}, weights and keys in {facts['dtype']}, the same tensors in both. Limits of this run: "
        f"{facts['flops'] / 1e12:.4g} TFLOP/s in a large bf16 product, {facts['bandwidth'] / 1e12:.4g} TB/s of memory. "
        "Reading is held against the products it needs, writing against the memory that one token needs read.",
        "",
        f"Transformers is timed in the faster of two ways of writing. Largest difference of log-probabilities: {apart}.",
        "",
        "| model | | Puna | Transformers | times as fast | limit | share of the limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bound = "| | |" if row["limit"] is None else f"| {row['limit']:.3g} | {row['share']:.0%} |"
        lines.append(
            f"| {row['model']} | {names[row['job']].format(**row)} | {row['puna']:.3g} "
            f"| {row['transformers']:.3g} ({row['way']}) | {row['ratio']:.2f} {bound}"
        )
    failed = [f"{row['model']}, {way}: {reason}" for row in rows for way, reason in row["failed"].items()]
    if failed:
        lines += ["", "What gave no time:", "", *(f"- {each}" for each in dict.fromkeys(failed))]
    return "\n".join(lines) + "\n"


@torch.no_grad()
def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and short texts: a rehearsal")
    parser.add_argument("--model", help="a file, or a pulled name, instead of the default model")
    parser.add_argument("--only", choices=("default", "1B", "8B"), action="append", help="may be given again")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    clock = Clock(device, arguments.repeats)
    peers: dict[str, Callable[[], Any]] = {
        "default": lambda: default_peer(arguments.model, device, dtype),
        **{name: lambda shape=shape: peer_of(shape, device, dtype) for name, shape in SHAPES.items()},  # type: ignore[misc]
    }
    if arguments.only:
        peers = {name: make for name, make in peers.items() if any(part in name for part in arguments.only)}
    if arguments.tiny:
        peers = {"tiny": lambda: peer_of(TINY, device, dtype)}
    reads, writes, ranks = (TINY_READ, TINY_WRITE, TINY_RANK) if arguments.tiny else (READ, WRITE, RANK)
    facts: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "dtype": str(dtype).removeprefix("torch."),
    }
    facts["card"] = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    facts |= {"torch": torch.__version__, "transformers": transformers.__version__, "apart": {}}
    facts |= limits(clock, arguments.tiny)
    rows: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        known = json.loads(arguments.json.read_text("utf-8"))
        if all(known[key] == facts[key] for key in ("card", "torch", "transformers", "date", "dtype")):
            rows, facts["apart"] = known["rows"], known["apart"]
    for name, make in peers.items():
        if name in facts["apart"]:
            continue
        bench = Bench(name, make(), clock, facts)
        apart, context = bench.agreement(reads[0]), bench.model.config.context
        rows += [bench.reading(count) for count in reads]
        rows += [bench.writing(past) for past in writes if past + MANY <= context]
        rows.append(bench.ranking(*ranks))
        facts["apart"][name] = apart
        del bench
        if device.type == "cuda":
            torch.compiler.reset()  # lets go of compiled graphs, and with them of the model
            torch.cuda.empty_cache()
        if arguments.json:
            arguments.json.write_text(json.dumps({**facts, "rows": rows}, indent=1), "utf-8")
    command = f"python bench/gpu.py --markdown {arguments.markdown}"
    text = page(command, facts, rows)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
