"""Study: what rotary position embedding promises, in numbers.

The score of a query at m and a key at n depends on m - n only, as far as the phases are exact; the bound of RoFormer
(Su et al. 2021, section 3.4.3) falls with the distance, while the scores of queries and keys that have nothing to do with
each other do not. With a model: how far its heads really look.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from puna.export.folder import tokenizer_of
from puna.lab.study import Done, Piece, Setting, Study, Table, Watch
from puna.llama.attention import Attention
from puna.llama.block import Block
from puna.llama.load import load
from puna.llama.model import causal_mask
from puna.llama.rope import frequencies, rotate, tables
from puna.llama.rope_config import RopeConfig
from puna.shapes import Float, Int
from puna.tasks.rows import opened
from puna.weights.checkpoint import open_checkpoint
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THETAS = (10_000.0, 100_000.0, 500_000.0)
PHASES = ("float64", "fp32", "bf16 tables", "bf16 angles")
REACHES = tuple(4**n for n in range(4, 11))  # up to a million positions
_HEAD = 128  # numbers of a head, as in Llama 2 and 3
_APART = (0, 1, 3, 17, 100)
_PAIRS = {"tiny": 8, "small": 32, "large": 512}  # of a query and a key
_PLACES = {"tiny": 16, "small": 64, "large": 512}
_DISTANCES = tuple(sorted({0, *(round(2 ** (n / 4)) for n in range(65))}))
_DRAWN = {"tiny": 256, "small": 2048, "large": 16384}
_TEXT = "text_lm/war_and_peace_en.txt.gz"
_READ = {"tiny": 64, "small": 512, "large": 2048}  # tokens
_NAMES = {
    "float64": ("float64", "float64"),
    "fp32": ("fp32, as Puna has it", "fp32（Puna 的做法）"),
    "bf16 tables": ("cos and sin rounded to bf16", "cos 与 sin 舍入为 bf16"),
    "bf16 angles": ("positions and angles in bf16", "位置与角度用 bf16"),
}


class Rotary(Study):
    """Pieces: for each base and seed "property" and "decay"; "mass" where a model is named."""

    seeds = 3
    takes_model = True

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give the pieces."""
        made: list[Piece] = [
            {"what": what, "theta": theta, "seed": seed}
            for what in ("property", "decay")
            for theta in THETAS
            for seed in range(setting.seeds)
        ]
        return made + ([{"what": "mass"}] if setting.model is not None else [])

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give what the model is and what it reads, where one is named."""
        if setting.model is None:
            return {}
        sha256, _ = model_digest(resolve(setting.model), KeptFolder(kept_dir()))
        return {"model": sha256, **setting.digest(_TEXT)}

    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Compute one piece."""
        if piece["what"] == "mass":
            return _mass(setting)
        rope = RopeConfig(_HEAD, piece["theta"])
        draw = torch.Generator().manual_seed(piece["seed"])
        if piece["what"] == "decay":
            return _decay(rope, _DRAWN[setting.size], draw)
        found = []
        for done, reach in enumerate(REACHES):
            watch(done, len(REACHES))
            places = torch.randint(reach // 2, reach, (_PLACES[setting.size],), generator=draw)
            q, k = torch.randn(2, _PAIRS[setting.size], _HEAD, generator=draw)
            found.append({phase: deviation(rope, q, k, places, phase) for phase in PHASES})
        return {"deviations": found}

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give the largest deviation by base, reach and phases; bound and logits by base and distance; the mass."""
        summary: dict[str, Any] = {"head_dim": _HEAD, "reaches": list(REACHES), "distances": list(_DISTANCES)}
        summary |= {"deviation": {}, "decay": {}, "mass": None}
        for theta in THETAS:
            mine = [each for each in done if each.piece.get("theta") == theta]
            found = [each.found["deviations"] for each in mine if each.piece["what"] == "property"]
            summary["deviation"][f"{theta:g}"] = {
                phase: [max(run[n][phase] for run in found) for n in range(len(REACHES))] for phase in PHASES
            }
            runs = [each.found for each in mine if each.piece["what"] == "decay"]
            summary["decay"][f"{theta:g}"] = {
                key: [sum(column) / len(runs) for column in zip(*(run[key] for run in runs), strict=True)]
                for key in ("bound", "independent", "equal")
            }
        for each in done:
            if each.piece["what"] == "mass":
                summary["mass"] = each.found
        return summary

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give the deviations at three reaches for each base."""
        zh = language == "zh"
        shown = [REACHES.index(reach) for reach in (256, 16384, 1048576)]
        head = "最大偏差（占 |q||k|），位置 < {:,}" if zh else "largest deviation (of |q||k|), positions < {:,}"
        rows = [
            [theta, _NAMES[phase][zh], *(f"{values[n]:.1e}" for n in shown)]
            for theta, found in summary["deviation"].items()
            for phase, values in found.items()
        ]
        return ["θ", "相位" if zh else "phases", *(head.format(REACHES[n]) for n in shown)], rows

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw deviation by position, bound and logits by distance, and the mass where there is one."""
        count = 4 if summary["mass"] else 3
        figure.set_size_inches(5 * count, 4)
        axes = figure.subplots(1, count)
        theta = f"{THETAS[0]:g}"
        for phase, values in summary["deviation"][theta].items():
            axes[0].loglog(summary["reaches"], values, "o-", label=_NAMES[phase][0])
        axes[0].set(
            xlabel="positions up to", ylabel="deviation / |q||k|", title=f"score at equal distance, θ = {theta}"
        )
        for number, (name, found) in enumerate(summary["decay"].items()):
            axes[1].plot(summary["distances"], found["bound"], f"C{number}", label=f"θ = {name}")
            axes[2].plot(summary["distances"], found["equal"], f"C{number}", label=f"q = k, θ = {name}")
            axes[2].plot(
                summary["distances"], found["independent"], f"C{number}:", label=f"independent, θ = {name}"
            )
        axes[1].set(xlabel="distance", ylabel="mean of |S_i|", title="RoFormer's bound")
        axes[2].set(
            xlabel="distance", ylabel="logit: mean (q = k), root mean square", title="logits / their size at 0"
        )
        if summary["mass"]:
            _plot_mass(axes[3], summary["mass"])
        for each in axes[1:3]:
            each.set_xscale("symlog", linthresh=1)
        for each in axes:
            each.grid(alpha=0.3)
            each.legend(frameon=False, fontsize=8)


def _plot_mass(axes: "Axes", mass: Mapping[str, Any]) -> None:
    names = [
        f"{each['from']}" if each["from"] == each["to"] else f"{each['from']}–{each['to']}" for each in mass["bins"]
    ]
    axes.bar(
        ["first token", *names], [mass["first"], *(each["mass"] for each in mass["bins"])], label=mass["model"]
    )
    axes.tick_params(axis="x", rotation=60)
    axes.set(xlabel="distance", ylabel="share of attention", title="where the heads look")


def angles_of(
    rope: RopeConfig, places: Int[Tensor, " T"], phase: str
) -> tuple[Float[Tensor, "T half"], Float[Tensor, "T half"]]:
    """Give cos and sin as a program has them that computes phases in one of PHASES; "fp32" is Puna's own."""
    inverse, _ = frequencies(rope, 1)
    if phase == "float64":
        angles = places.double()[:, None] * inverse.double()
        return angles.cos(), angles.sin()
    if phase == "bf16 angles":
        angles = (places.bfloat16()[:, None] * inverse.bfloat16()).float()
        return angles.cos(), angles.sin()
    cos, sin = tables(rope, places, 1)
    return (cos.bfloat16().float(), sin.bfloat16().float()) if phase == "bf16 tables" else (cos, sin)


def scores(
    rope: RopeConfig,
    q: Float[Tensor, "N E"],
    k: Float[Tensor, "N E"],
    places: Int[Tensor, " T"],
    apart: int,
    phase: str,
) -> Float[Tensor, "T N"]:
    """Give ⟨R_m q, R_n k⟩ for each m of `places` with n = m - `apart`."""
    turned = []
    for x, at in ((q, places), (k, places - apart)):
        cos, sin = angles_of(rope, at, phase)
        each = x.expand(len(at), *x.shape)
        turned.append(_turned(each, cos, sin) if phase == "float64" else rotate(each, cos, sin))
    return (turned[0] * turned[1]).sum(-1)


def deviation(
    rope: RopeConfig, q: Float[Tensor, "N E"], k: Float[Tensor, "N E"], places: Int[Tensor, " T"], phase: str
) -> float:
    """Give the largest difference from the score at positions (distance, 0) in float64, in parts of |q||k|."""
    size = q.double().norm(dim=-1) * k.double().norm(dim=-1)
    worst = 0.0
    for apart in _APART:
        wanted = scores(rope, q, k, torch.tensor([apart]), apart, "float64")
        found = scores(rope, q, k, places, apart, phase)
        worst = max(worst, float(((found.double() - wanted).abs() / size).max()))
    return worst


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`rotate`, which computes in fp32, in float64: pairs as complex numbers."""
    a, b = x.double().chunk(2, dim=-1)
    turned = torch.complex(a, b) * torch.complex(cos, sin)[:, None]
    return torch.cat((turned.real, turned.imag), dim=-1)


def bound(rope: RopeConfig, distances: Int[Tensor, " T"]) -> Float[Tensor, " T"]:
    """Give RoFormer's 1/(E/2) · Σ_j |S_j| with S_j = Σ_{i<j} exp(i · distance · θ_i), float64."""
    cos, sin = angles_of(rope, distances, "float64")
    return torch.complex(cos, sin).cumsum(-1).abs().mean(-1)


def _decay(rope: RopeConfig, count: int, draw: torch.Generator) -> dict[str, Any]:
    """Give the bound, and logits ⟨R_d q, k⟩ / E: mean for k = q, root of the mean square · √E for independent ones."""
    distances = torch.tensor(_DISTANCES)
    q, k = torch.randn(2, count, rope.head_dim, generator=draw)
    cos, sin = tables(rope, distances, 1)
    equal, independent = [], []
    for n in range(len(distances)):
        turned = rotate(q[None], cos[n : n + 1], sin[n : n + 1])[0]
        equal.append(float((turned * q).sum(-1).mean()) / rope.head_dim)
        independent.append(float((turned * k).sum(-1).square().mean().sqrt()) / rope.head_dim**0.5)
    return {"bound": bound(rope, distances).tolist(), "equal": equal, "independent": independent}


@torch.inference_mode()
def _mass(setting: Setting) -> dict[str, Any]:
    """Give the share of all heads' attention on the first token, and on others by distance.

    Of a text's first tokens only the second half asks, so that each has as many tokens before it to look at.
    """
    path = resolve(setting.model)
    checkpoint = open_checkpoint(path)
    tokenizer, _ = tokenizer_of(path, checkpoint)
    model = load(checkpoint, dtype=torch.float32, kernels=False)
    most = min(_READ[setting.size], model.config.context, model.config.window or model.config.context)
    with opened(setting.file(_TEXT)) as (lines, _):
        text = lines.read(16 * most).decode("utf-8", "ignore")
    ids = torch.tensor([*tokenizer.encode_prompt(""), *tokenizer.encode(text)][:most])
    length = len(ids)
    found: list[Tensor] = []

    def look(attention: Attention, given: tuple[Any, ...]) -> None:
        found.append(_by_distance(attention, *given[:3]))

    for block in model.model.layers:
        if isinstance(block, Block):
            block.self_attn.register_forward_pre_hook(look)
    model(ids, torch.arange(length), None, causal_mask(0, length))
    mean = torch.stack(found).mean(0)  # [1 + distances]
    edges = [0, *(2**n for n in range(length.bit_length()) if 2**n < length), length]
    bins = [
        {"from": start, "to": end - 1, "mass": float(mean[1 + start : 1 + end].sum())}
        for start, end in pairwise(edges)
    ]
    return {
        "model": path.stem,
        "theta": model.config.rope.theta,
        "tokens": length,
        "first": float(mean[0]),
        "bins": bins,
    }


def _by_distance(
    attention: Attention, x: Float[Tensor, "T D"], cos: Float[Tensor, "T half"], sin: Float[Tensor, "T half"]
) -> Float[Tensor, " parts"]:
    """Give mean attention over heads and the second half of the tokens: on token 0, then at distances 0, 1, …"""
    heads = (len(x), -1, attention.head_dim)
    q, k = (part(x).view(heads) for part in (attention.q_proj, attention.k_proj))
    if attention.q_norm is not None and attention.k_norm is not None:
        q, k = attention.q_norm(q), attention.k_norm(k)
    q, k = (rotate(each, cos, sin).transpose(0, 1) for each in (q, k))
    k = k.repeat_interleave(len(q) // len(k), 0)
    logits = q @ k.transpose(1, 2) * attention.head_dim**-0.5
    logits.masked_fill_(~causal_mask(0, len(x)), float("-inf"))
    rows = torch.arange(len(x) // 2, len(x))
    mean = logits.softmax(-1).mean(0)[rows]  # [T/2, T]
    parts = torch.zeros(1 + len(x))
    parts[0] = mean[:, 0].sum()
    parts.index_add_(0, 1 + (rows[:, None] - torch.arange(1, len(x))).clamp(min=0).flatten(), mean[:, 1:].flatten())
    return parts / len(rows)
