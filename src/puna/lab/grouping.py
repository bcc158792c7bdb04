"""Study: fewer key-value heads: what they cost in quality, and what they give in memory and speed.

As in Ainslie et al. 2023: a model with as many key-value heads as query heads is trained on text, its heads are put
together in groups (by their mean, by taking the first, or by new ones), and it is trained on for a twentieth of its
steps. Beside these stands the model with all its heads, trained on for as long.
"""

import random
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puna.export.folder import tokenizer_of
from puna.export.regroup import WAYS, RegroupedCheckpoint
from puna.lab.decoding import random_model, speeds
from puna.lab.kept import digest_of
from puna.lab.study import Done, Piece, Setting, Study, Table
from puna.lab.study import Watch as Told
from puna.llama.config import LlamaConfig
from puna.llama.describe import cache_bytes, cache_dtype
from puna.llama.device import choose_device
from puna.train.chains import TextExam, chains, documents, hold_back_chains
from puna.train.loop import Watch
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.scratch import Sizes, byte_tokenizer
from puna.train.session import Base, Order, Session, digest_of_data
from puna.train.trees import WORDS, Passage
from puna.weights.checkpoint import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = (0.0, 0.05)  # of the steps that made the model
_RATE = 2e-3  # that made it
_RATES = (
    _RATE,
    6e-4,
    2e-4,
)  # of the further steps: the best counts, for begun anew at its own a good model gets worse
_HELD = 0.01  # of the text
_MINUTES = 0.25  # between checkpoints of a training
_ROUNDS = {"tiny": 2, "small": 15, "large": 25}
_NAMES = {
    "all": ("all heads", "全部头"),
    "mean": ("mean", "平均"),
    "first": ("first", "第一个"),
    "random": ("new", "新建"),
}


@dataclass(frozen=True, slots=True)
class _Scale:
    sizes: Sizes
    length: int  # tokens, which are bytes, of a chain
    batch: int  # tokens of a step
    chains: int | None  # that the model learns from, None for all
    files: tuple[str, ...]
    wide: Sizes  # a shape for speed only, whose cache outgrows its weights
    contexts: Mapping[str, tuple[int, ...]]  # tokens before those that are timed


_BOOK = "text_lm/war_and_peace_en.txt.gz"
_NOVELS = tuple(f"text_lm/{name}_zh.txt.gz" for name in ("hongloumeng", "sanguoyanyi", "shuihuzhuan", "xiyouji"))
_ENGLISH = tuple(f"text_lm/{name}.txt.gz" for name in ("tinyshakespeare", "wikitext2_valid", "wikitext2_test"))
_SCALES = {
    "tiny": _Scale(
        Sizes(32, 1, 4, 4, 64, 128), 32, 256, 60, (_BOOK,),
        Sizes(32, 2, 4, 4, 64, 256), {"trained": (16,), "wide": (16, 100)},
    ),
    "small": _Scale(
        Sizes(256, 4, 8, 8, 704, 1024), 256, 4096, 8000, (_BOOK,),
        Sizes(512, 8, 8, 8, 1408, 16384), {"trained": (256, 1000), "wide": (256, 2048, 8192)},
    ),
    "large": _Scale(
        Sizes(512, 8, 8, 8, 1408, 2048), 512, 16384, None, (_BOOK, *_ENGLISH, *_NOVELS),
        Sizes(2048, 16, 16, 16, 5632, 32768), {"trained": (256, 2000), "wide": (256, 2048, 8192, 32000)},
    ),
}  # fmt: skip


class Grouping(Study):
    """Pieces: for each seed every number of heads, way and share of steps; then speeds by shape and context."""

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give the pieces."""
        scale = _SCALES[setting.size]
        most = scale.sizes.heads
        ways = [(most, "all"), *((count, by) for count in _fewer(most) for by in WAYS)]
        quality: list[Piece] = [
            {"seed": seed, "kv_heads": count, "by": by, "share": share} | ({"rate": rate} if rate else {})
            for seed in range(setting.seeds)
            for count, by in ways
            for share in SHARES
            for rate in (_RATES if share else (0.0,))
        ]
        return quality + [
            {"shape": shape, "context": context} for shape, every in scale.contexts.items() for context in every
        ]

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give what the texts are."""
        return setting.digest(*_SCALES[setting.size].files)

    def run(self, piece: Piece, setting: Setting, watch: Told) -> dict[str, Any]:
        """Do one piece; the first of a seed trains the model, which stays in the study's folder."""
        scale = _SCALES[setting.size]
        if "shape" in piece:
            sizes = scale.sizes if piece["shape"] == "trained" else scale.wide
            found = speeds(
                random_model(sizes, setting.folder),
                [sizes.heads, *_fewer(sizes.heads)],
                piece["context"],
                rounds=_ROUNDS[setting.size],
                tokens=16,
                device=choose_device(setting.device),
                watch=watch,
            )
            return {"speeds": found}
        return _Trained(scale, setting, piece["seed"]).quality(piece, watch)

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give bits a byte by heads, way and share (mean, standard deviation, every seed, best rate), and the speeds."""
        runs: dict[tuple[int, str, float], dict[float, list[dict[str, Any]]]] = {}
        for each in done:
            if "seed" in each.piece:
                key = (each.piece["kv_heads"], each.piece["by"], each.piece["share"])
                runs.setdefault(key, {}).setdefault(each.piece.get("rate", 0.0), []).append(each.found)
        quality = []
        for (count, by, share), rates in runs.items():
            means = {rate: statistics.fmean(run["bits_per_byte"] for run in each) for rate, each in rates.items()}
            rate = min(means, key=lambda each: means[each])
            found = rates[rate]
            bits = [run["bits_per_byte"] for run in found]
            quality.append(
                {
                    "kv_heads": count,
                    "by": by,
                    "share": share,
                    "bits_per_byte": statistics.fmean(bits),
                    "deviation": statistics.stdev(bits) if len(bits) > 1 else 0.0,
                    "seeds": bits,
                    "steps": found[0]["steps"],
                    "rate": rate,
                    "rates": {str(each): mean for each, mean in means.items()},
                    "cache_bytes_per_token": found[0]["cache_bytes_per_token"],
                }
            )
        speed = [
            {"shape": each.piece["shape"], "context": each.piece["context"], **one}
            for each in done
            if "shape" in each.piece
            for one in each.found["speeds"]
        ]
        return {"quality": quality, "speed": speed}

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give a row for each number of heads and way, with the speed of the wide shape behind its longest context."""
        zh = language == "zh"
        wide = [each for each in summary["speed"] if each["shape"] == "wide"]
        longest = max(each["context"] for each in wide)
        fast = {each["kv_heads"]: each["tokens_per_second"] for each in wide if each["context"] == longest}
        now, later = ({(e["kv_heads"], e["by"]): e for e in summary["quality"] if e["share"] == s} for s in SHARES)
        rows = [
            [
                str(count),
                _NAMES[by][zh],
                f"{before['bits_per_byte']:.3f}",
                f"{later[count, by]['bits_per_byte']:.3f} ± {later[count, by]['deviation']:.3f}",
                f"{later[count, by]['rate']:g}",
                f"{before['cache_bytes_per_token']:,}",
                f"{fast[count]:,.0f}",
            ]
            for (count, by), before in now.items()
        ]
        if zh:
            return [
                *("键值头", "方式", "比特/字节", "再训练 5 % 之后", "最好的学习率", "KV 字节/词元"),
                f"词元/秒（宽模型，{longest:,} 词元之后）",
            ], rows
        return [
            *("kv heads", "by", "bits/byte", "after 5 % more steps", "best rate", "KV bytes/token"),
            f"tokens/s (wide, behind {longest:,})",
        ], rows

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw quality by heads and way, and speed by context and heads."""
        figure.set_size_inches(15, 4.5)
        quality, *speed = figure.subplots(1, 3)
        every = summary["quality"]
        for number, by in enumerate(WAYS):
            for share, line in zip(SHARES, (":", "-"), strict=True):
                found = [each for each in every if each["share"] == share and each["by"] in (by, "all")]
                found.sort(key=lambda each: each["kv_heads"])
                quality.errorbar(
                    [each["kv_heads"] for each in found],
                    [each["bits_per_byte"] for each in found],
                    [each["deviation"] for each in found],
                    fmt=f"C{number}o{line}",
                    capsize=3,
                    label=f"{_NAMES[by][0]}, {share:.0%} more steps",
                )
        counts = sorted({each["kv_heads"] for each in every})
        quality.set_xscale("log", base=2)
        quality.set_xticks(counts, list(map(str, counts)))
        quality.set(xlabel="key-value heads", ylabel="bits per byte", title="quality, held-back text")
        for axes, shape in zip(speed, ("trained", "wide"), strict=True):
            found = [each for each in summary["speed"] if each["shape"] == shape]
            for count in sorted({each["kv_heads"] for each in found}):
                mine = [each for each in found if each["kv_heads"] == count]
                label = f"{count} heads, {mine[0]['cache_bytes_per_token']:,} B/token"
                axes.plot([e["context"] for e in mine], [e["tokens_per_second"] for e in mine], "o-", label=label)
            axes.set_xscale("log", base=2)
            axes.set_ylim(bottom=0)
            axes.set(xlabel="tokens of context", ylabel="tokens per second", title=f"writing, {shape} shape")
        for axes in (quality, *speed):
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize=8)


class _Trained:
    """The model of one seed, and what becomes of it."""

    def __init__(self, scale: _Scale, setting: Setting, seed: int) -> None:
        self._scale, self._setting, self._seed = scale, setting, seed
        self._texts = _texts(tuple(map(setting.file, scale.files)), scale.length, scale.chains)
        self._recipe = Recipe(
            epochs=1.0, questions=scale.batch / WORDS, rate=_RATE, patience=0, validations=1, seed=seed
        )

    def quality(self, piece: Piece, watch: Told) -> dict[str, Any]:
        """Give bits a byte of the held-back text with so many heads, trained on or not, and what a token takes."""
        path = self._made(watch)
        model: Checkpoint = open_checkpoint(path)
        if piece["by"] != "all":
            model = RegroupedCheckpoint(model, piece["kv_heads"], piece["by"], self._seed)
        tokenizer, files = tokenizer_of(path, model)
        mark = digest_of({"model": path.name, **piece})
        base = Base(model, tokenizer, path.name, mark, model.size_bytes, files)
        output = self._setting.folder / f"{path.name}-more"
        _clear(output)
        session = self._session(output, base, piece.get("rate", _RATE))
        steps = 0
        if piece["share"]:
            loop = session.train(
                self._texts.more, None, {"data": digest_of_data([piece["share"]])}, self._watch(watch)
            )
            steps = loop.state.step if loop else 0
            _clear(output)
        figures = TextExam(self._texts.held, tokenizer, self._recipe)(session.student)
        config = LlamaConfig.from_dict(model.config)
        size = cache_bytes(config, cache_dtype(config))
        return {"bits_per_byte": figures["bits_per_byte"], "steps": steps, "cache_bytes_per_token": size}

    def _made(self, watch: Told) -> Path:
        """Give the folder of the model, which is trained if it is not there; a training that was stopped goes on."""
        about = {
            "sizes": repr(self._scale.sizes),
            "recipe": repr(self._recipe),
            "device": self._setting.device,
            "data": self._texts.digest,
        }
        path = self._setting.folder / f"seed-{self._seed}-{digest_of(about)[:12]}"
        if not path.exists():
            session = self._session(path, Base.made(self._scale.sizes, None, self._seed))
            session.train(self._texts.base, None, {"data": self._texts.digest}, self._watch(watch))
            shutil.rmtree(session.work, ignore_errors=True)
        return path

    def _session(self, output: Path, base: Base, rate: float = _RATE) -> Session:
        order = Order(
            output, replace(self._recipe, rate=rate), lora=None, device=self._setting.device, dtype="fp32"
        )
        return Session("lm", order, Ranks(self._setting.device), base)

    def _watch(self, watch: Told) -> Watch:
        return Watch(report=lambda done, total, record: watch(done, total), minutes=_MINUTES)


@dataclass(frozen=True, slots=True)
class _Texts:
    """Chains to make the model of, to train it on with, and those held back; the same for every seed."""

    base: list[Passage]
    more: list[Passage]
    held: list[Passage]
    digest: str  # of base


@lru_cache(maxsize=1)
def _texts(files: tuple[Path, ...], length: int, most: int | None) -> _Texts:
    every = [chains(text, byte_tokenizer(), length) for text in documents(files)]
    learned, held = hold_back_chains(every, 0, _HELD)
    random.Random(0).shuffle(learned)  # noqa: S311  no secret
    size = min(most or len(learned), round(len(learned) / (1 + SHARES[-1])))
    base, more = learned[:size], learned[size : size + max(1, round(SHARES[-1] * size))]
    return _Texts(base, more, held, digest_of_data([chain.tokens for chain in base]))


def _fewer(heads: int) -> list[int]:
    """Give the halves of a power of two, down to 1."""
    return [heads >> n for n in range(1, heads.bit_length())]


def _clear(output: Path) -> None:
    """Remove what a training leaves, a stopped one too."""
    for path in (output, output.with_name(f"{output.name}.training")):
        shutil.rmtree(path, ignore_errors=True)
