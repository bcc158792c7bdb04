"""The study `context`: how a model reads beyond its context, with each rotary scaling.

Two measures at each length, with the same tokens at its end whatever the length:

- bits per byte and perplexity of a book's next 1,024 tokens, given all before them that fit into the length;
- a key hidden in filler at five depths: is it the most probable of ten, would greedy decoding write it.

Linear, NTK-aware and YaRN scaling get the factor length / context. Dynamic NTK has one factor for all lengths and follows
the length by itself. Up to the model's own context all are the same model, which is run once.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puna.errors import InputError
from puna.lab.context import (
    DEPTHS,
    DYNAMIC,
    KEYS,
    SCALINGS,
    Haystack,
    bits_per_byte,
    recall,
    rope_parameters,
    stretched,
    surprises,
)
from puna.lab.study import Done, Piece, Setting, Study, Table, Watch
from puna.llama.config import LlamaConfig
from puna.llama.device import choose_device
from puna.llama.load import load
from puna.llama.model import Llama
from puna.rank.kept import known_digest
from puna.tasks.rows import opened
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOOKS = {"en": "text_lm/war_and_peace_en.txt.gz", "zh": "text_lm/hongloumeng_zh.txt.gz"}
_CHARACTERS = 8  # of a book for each token: more than any tokenizer puts into one, on the mean
_GOLDEN = (math.sqrt(5) - 1) / 2  # windows are spread over a book, and more of them leave the first where they are
_COLORS = {"none": "0.3", "linear": "tab:red", "ntk": "tab:orange", "dynamic": "tab:green", "yarn": "tab:blue"}


@dataclass(frozen=True, slots=True)
class Size:
    """What a size of the study means: lengths in tokens, and how many tokens are judged together."""

    lengths: tuple[int, ...]
    bucket: int = 1024


SIZES = {
    "tiny": Size((1024, 1536), 256),
    "small": Size((2048, 4096, 8192, 16384)),
    "large": Size((2048, 4096, 8192, 16384, 32768)),
}


class ContextStudy(Study):
    """Which scaling reads on where the trained positions end, and what does it cost before?"""

    takes_model = True
    seeds = 2  # windows of a book, and keys

    def __init__(self) -> None:
        self._models: dict[tuple[str, int], Llama] = {}

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give a piece for each length, scaling, and window of a book or key."""
        context = LlamaConfig.from_dict(_open(setting).config).context
        found: list[Piece] = []
        for length in SIZES[setting.size].lengths:
            for scaling in SCALINGS if length > context else SCALINGS[:1]:
                for seed in range(setting.seeds):
                    where = {"length": length, "scaling": scaling, "seed": seed}
                    found += [{"measure": "text", "language": language, **where} for language in BOOKS]
                    found.append({"measure": "passkey", **where})
        return found

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give the digests of the books and of the model."""
        path = resolve(setting.model)
        return {**setting.digest(*BOOKS.values()), "model": known_digest(path, KeptFolder(kept_dir()))}

    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Read a book's window, or look for a key."""
        checkpoint, size, length = _open(setting), SIZES[setting.size], piece["length"]
        tokenizer = _tokenizer(checkpoint)
        model = self._model(checkpoint, piece["scaling"], length, setting.device)
        config = LlamaConfig.from_dict(checkpoint.config)
        rope = rope_parameters(piece["scaling"], config, length)
        about: dict[str, Any] = {"engine": model.engine, "context": config.context, "rope": rope}
        if piece["measure"] == "passkey":
            found = recall(model, Haystack.of(tokenizer, length, piece["seed"]), length, watch)
            return {"depths": found, **about}
        tokens = _window(setting, tokenizer, piece["language"], piece["seed"], max(size.lengths))[-length:]
        nats = surprises(model, tokens, watch)
        parts = []
        for last in range(size.bucket, length + 1, size.bucket):
            own = slice(max(last - size.bucket, 1), last)  # nothing stands before the first token
            total = float(nats[own.start - 1 : own.stop - 1].double().sum())
            parts.append(
                {
                    "bits_per_byte": bits_per_byte(total, tokens[own], tokenizer),
                    "perplexity": math.exp(total / (own.stop - own.start)),
                }
            )
        return {"parts": parts, **about}

    def _model(self, checkpoint: Checkpoint, scaling: str, length: int, device: str) -> Llama:
        """Load the model with a scaling; of several only the last is kept."""
        if (scaling, length) not in self._models:
            self._models.clear()
            loaded = load(stretched(checkpoint, scaling, length), device=choose_device(device))
            self._models[scaling, length] = loaded
        return self._models[scaling, length]

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give the means over windows and keys, for each length and scaling.

        text: a list of language, length, scaling, windows, bits_per_byte and perplexity of the last tokens (the mean's
        exponent), and by_position: bits per byte of each bucket of positions. passkey: a list of length, scaling, n,
        first (share of keys that came first), written (share that greedy decoding writes), and first by depth.
        """
        context = done[0].found["context"]
        text, passkey = [], []
        for length, scaling in dict.fromkeys((each.piece["length"], each.piece["scaling"]) for each in done):
            here = [each for each in done if (each.piece["length"], each.piece["scaling"]) == (length, scaling)]
            names = SCALINGS if length <= context else (scaling,)
            for language in BOOKS:
                own = [each.found["parts"] for each in here if each.piece.get("language") == language]
                bits = [
                    statistics.fmean(part["bits_per_byte"] for part in parts) for parts in zip(*own, strict=True)
                ]
                logs = [math.log(parts[-1]["perplexity"]) for parts in own]
                judged = {
                    "windows": len(own),
                    "bits_per_byte": bits[-1],
                    "perplexity": math.exp(statistics.fmean(logs)),
                }
                text += [
                    {"language": language, "length": length, "scaling": name, **judged, "by_position": bits}
                    for name in names
                ]
            keys = [each.found["depths"] for each in here if each.piece["measure"] == "passkey"]
            depths = [statistics.fmean(one["rank"] == 1 for one in depth) for depth in zip(*keys, strict=True)]
            found = {
                "n": len(keys) * len(DEPTHS),
                "first": statistics.fmean(depths),
                "written": statistics.fmean(one["written"] for key in keys for one in key),
                "first_by_depth": dict(zip(map(str, DEPTHS), depths, strict=True)),
            }
            passkey += [{"length": length, "scaling": name, **found} for name in names]
        return {
            "context": context,
            "engine": done[0].found["engine"],
            "dynamic_factor": DYNAMIC,
            "chance": 1 / KEYS,
            "text": text,
            "passkey": passkey,
        }

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give a line for each length and scaling; up to the context one for all scalings."""
        chinese = language == "zh"
        heads = ["length", "scaling", "English, bits/byte", "Chinese, bits/byte", "key first", "key written"]
        if chinese:
            heads = ["长度", "缩放", "英文（比特/字节）", "中文（比特/字节）", "密钥排第一", "写出密钥"]
        lines = []
        for key in summary["passkey"]:
            same = key["length"] <= summary["context"]
            if same and key["scaling"] != SCALINGS[0]:
                continue
            bits = {
                each["language"]: f"{each['bits_per_byte']:.3f}"
                for each in summary["text"]
                if (each["length"], each["scaling"]) == (key["length"], key["scaling"])
            }
            name = ("任意" if chinese else "any") if same else key["scaling"]
            shares = (f"{100 * key[what]:.0f} %" for what in ("first", "written"))
            lines.append([f"{key['length']:,}", name, *(bits[each] for each in BOOKS), *shares])
        return heads, lines

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw bits per byte by length and, for the longest, by position (both English), and keys found by length."""
        figure.set_size_inches(15, 4.2)
        by_length, by_position, keys = figure.subplots(1, 3)
        longest = max(each["length"] for each in summary["text"])
        for scaling in SCALINGS:
            style = {"color": _COLORS[scaling], "label": scaling}
            text = [each for each in summary["text"] if (each["language"], each["scaling"]) == ("en", scaling)]
            found = [each for each in summary["passkey"] if each["scaling"] == scaling]
            by_length.plot(
                *zip(*((each["length"], each["bits_per_byte"]) for each in text), strict=True), marker="o", **style
            )
            bits = text[-1]["by_position"]
            by_position.plot([(n + 0.5) * longest / len(bits) for n in range(len(bits))], bits, **style)
            keys.plot(*zip(*((each["length"], each["first"]) for each in found), strict=True), marker="o", **style)
        keys.axhline(summary["chance"], color="0.7", linestyle=":", label="chance")
        lengths = sorted({each["length"] for each in summary["text"]})
        for axes in (by_length, keys):
            axes.set_xscale("log", base=2)
            axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
            axes.set_xlabel("tokens read")
        by_position.set_xlabel(f"position among {longest:,}")
        for axes, title in (
            (by_length, "bits per byte at the end"),
            (by_position, "bits per byte on the way"),
            (keys, "share of keys that come first"),
        ):
            axes.axvline(summary["context"], color="0.7", linewidth=1)
            axes.set_title(title, fontsize=10)
            axes.grid(alpha=0.3)
        keys.set_ylim(-0.03, 1.03)
        by_length.legend(frameon=False)


def _open(setting: Setting) -> Checkpoint:
    return open_checkpoint(resolve(setting.model))


def _tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    if checkpoint.tokenizer_metadata is not None:
        return Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    return Tokenizer.from_folder(checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent)


def _window(setting: Setting, tokenizer: Tokenizer, language: str, seed: int, longest: int) -> list[int]:
    """Give the `longest` tokens that end at a place of the book that only the seed decides."""
    path = setting.file(BOOKS[language])
    with opened(path) as (lines, _):
        text = lines.read().decode("utf-8", "replace")
    room = longest * _CHARACTERS
    end = room + int((len(text) - room) * ((0.5 + seed * _GOLDEN) % 1)) if len(text) > room else len(text)
    tokens = tokenizer.encode(text[max(0, end - room) : end], start=False)
    if len(tokens) < longest:
        raise InputError("E-LAB-BOOK", path=path, tokens=len(tokens), wanted=longest)
    return tokens[-longest:]
