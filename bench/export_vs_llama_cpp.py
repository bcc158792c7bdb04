"""What `puna export` writes, opened by llama.cpp: the same tokens of a prompt, and the same greedy text, as Puna.

    pip install -c constraints.txt -e . llama-cpp-python
    python bench/export_vs_llama_cpp.py --markdown docs/measured-export.md

Needs the default model (`puna pull`), or --model; nothing is fetched. For each type the model is written to a temporary
folder; then with a random adapter, merged by Puna, and apart, as a GGUF file that llama.cpp applies itself. Puna
computes in fp32. llama.cpp rounds what goes into a product with quantised weights to 8 bits, so that texts part there:
the gap between the two tokens is told, in nats by Puna. The same weights unpacked to f32 must give the same text.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import torch

from puna.export.model import Source, export_adapter, export_model
from puna.llama.load import load
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapter import Adapter, write_adapter
from puna.weights.checkpoint import Checkpoint, open_checkpoint

TYPES = ("f32", "f16", "bf16", "q8_0", "q6_k", "q5_1", "q5_k", "q5_0", "q4_1", "q4_k", "q4_0")
EXACT = ("f32", "f16", "bf16")  # types that llama.cpp multiplies as they are
TIE = 0.1  # nats between two tokens that are as good as equal
PROMPTS = (
    "The capital of France is",
    "Once upon a time there was a llama who lived",
    "1, 2, 3, 4, 5,",
    "def fibonacci(n):\n    ",
    "世界上最高的山峰是",
    "Q: Who wrote Hamlet?\nA:",
    "  two spaces,\ta tab and 12345 digits\n\n- 🦙 naïve café",
    "<|im_start|>user\nIs this line text or a turn?<|im_end|>\n",
)


@dataclass(frozen=True)
class Row:
    """One file: prompts with the same ids and the same text, the tokens up to where texts part, the largest gap there."""

    name: str
    megabytes: float
    ids: int
    texts: int
    ties: int
    gap: float

    def line(self, prompts: int) -> str:
        """Lay it out."""
        right = f"| {self.ids}/{prompts} | {self.texts}/{prompts} | {self.ties} | {self.gap:.3f} |"
        return f"| {self.name} | {self.megabytes:,.1f} {right}"


def written(model: Llama, ids: Sequence[int], count: int) -> tuple[list[int], list[torch.Tensor]]:
    """Write greedily by Puna: tokens, and the log-probabilities that each was chosen from."""
    cache, found, logs = model.new_cache(len(ids) + count), list[int](), list[torch.Tensor]()
    with torch.inference_mode():
        hidden = model.read(ids, cache)
        for _ in range(count):
            logs.append(model.logits(hidden)[0].log_softmax(-1))
            found.append(int(logs[-1].argmax()))
            hidden = model.read([found[-1]], cache)
    return found, logs


def theirs(peer: Any, ids: Sequence[int], count: int) -> list[int]:
    """Write greedily by llama.cpp."""
    peer.reset()
    found: list[int] = []
    for token in peer.generate(list(ids), temp=0.0, repeat_penalty=1.0, reset=True):
        found.append(int(token))
        if len(found) == count:
            break
    return found


def compare(
    name: str, path: Path, checkpoint: Checkpoint, tokenizer: Tokenizer, count: int, lora: Path | None
) -> Row:
    """Compare one file."""
    model = load(checkpoint, dtype=torch.float32, kernels=False)
    more = {"lora_path": str(lora)} if lora else {}
    peer = llama_cpp.Llama(str(path), n_ctx=512, verbose=False, **more)
    same_ids = same_texts = ties = 0
    largest = 0.0
    for prompt in PROMPTS:
        ids = tokenizer.encode_prompt(prompt)
        given = peer.tokenize(prompt.encode(), add_bos=True, special=False)
        same_ids += list(given) == ids
        ours, logs = written(model, ids, count)
        other = theirs(peer, ids, count)
        parted = next((n for n, (a, b) in enumerate(zip(ours, other, strict=False)) if a != b), None)
        if parted is None:
            same_texts += 1
            continue
        gap = float(logs[parted][ours[parted]] - logs[parted][other[parted]])
        ties, largest = ties + (gap < TIE), max(largest, gap)
    peer.close()
    return Row(name, path.stat().st_size / 1e6, same_ids, same_texts, ties, largest)


def random_adapter(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write an adapter that changes every product by about a twentieth."""
    random = torch.Generator().manual_seed(1)
    matrices = {}
    for name in checkpoint.names():
        if name.endswith("_proj.weight"):
            rows, width = checkpoint.shape(name)
            size = float(checkpoint.tensor(name, torch.float32).std())
            a = torch.randn(8, width, generator=random) * 8**-0.5
            matrices[name] = (a, torch.randn(rows, 8, generator=random) * size / 20)
    write_adapter(folder, Adapter(matrices, dict.fromkeys(matrices, 1.0)))
    return folder


def rows(model: str | None, types: Sequence[str], count: int, folder: Path) -> list[Row]:
    """Write and compare every file."""
    source = Source.opened(model, None)
    found = []

    def progress(done: int, total: int) -> None:
        pass

    def add(name: str, path: Path, checkpoint: Checkpoint, lora: Path | None = None) -> None:
        tokenizer = Tokenizer.from_gguf(open_checkpoint(path).tokenizer_metadata or {})
        found.append(compare(name, path, checkpoint, tokenizer, count, lora))
        print(found[-1].line(len(PROMPTS)), flush=True)

    for kind in types:
        path = folder / f"{kind}.gguf"
        export_model(source, "gguf", kind.upper(), path, progress)
        add(kind, path, open_checkpoint(path))
        if kind not in EXACT:
            unpacked = folder / "unpacked.gguf"
            export_model(Source.opened(str(path), None), "gguf", "F32", unpacked, progress)
            add(f"{kind}, unpacked", unpacked, open_checkpoint(path))
            unpacked.unlink()
        if path.name != "f32.gguf":
            path.unlink()
    plain = folder / "f32.gguf"
    if not plain.exists():
        export_model(source, "gguf", "F32", plain, progress)
    adapted = Source.opened(str(plain), random_adapter(source.checkpoint, folder / "adapter"))
    export_model(adapted, "gguf", None, folder / "merged.gguf", progress)
    add("f32, adapter merged", folder / "merged.gguf", open_checkpoint(folder / "merged.gguf"))
    export_adapter(adapted, "gguf", None, folder / "lora.gguf")
    add("f32, adapter apart", plain, adapted.merged, folder / "lora.gguf")
    return found


def page(command: str, model: str, found: Sequence[Row], count: int) -> str:
    """Lay the rows out."""
    lines = [
        "# Measured: what is exported, in llama.cpp",
        "",
        f"Written by `{command}` with llama-cpp-python {llama_cpp.__version__}, {model}: {len(PROMPTS)} prompts, {count} "
        f"tokens of greedy text each. Where the texts part, two tokens less than {TIE} nats apart count as a tie. With "
        "weights of 8 bits and less llama.cpp rounds the numbers that meet them to 8 bits too, in blocks of 32, for the "
        "K types of 256; Puna computes in fp32. *Unpacked*: the same weights as f32 for llama.cpp; neither rounds.",
        "",
        "| file | MB | same ids | same text | else a tie | largest gap, nats |",
        "|---|---|---|---|---|---|",
        *(row.line(len(PROMPTS)) for row in found),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write, compare, print; exit code 1 where ids differ, or unrounded texts part at more than a tie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a file, or a pulled name, instead of the default model")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = rows(arguments.model, arguments.types.split(","), arguments.tokens, Path(folder))
    command = f"python bench/export_vs_llama_cpp.py {shlex.join(sys.argv[1:])}"
    text = page(command, arguments.model or "the default model", found, arguments.tokens)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")
    every = len(PROMPTS)
    sys.exit(any(r.ids < every or (r.name not in TYPES[3:] and r.texts + r.ties < every) for r in found))


if __name__ == "__main__":
    main()
