"""Positions: rotary scaling that the file lost, that does not reach the context, or that other programs do not read."""

from collections.abc import Iterator, Mapping
from typing import Any

from puna.doctor.finding import Finding, doubt, fine
from puna.llama.config import LlamaConfig

_LLAMA_3 = 500_000.0  # theta
_UNSCALED = {
    10_000.0: 16_384,
    _LLAMA_3: 16_384,
}  # theta -> the longest context that models have had without scaling


def check_places(config: LlamaConfig, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Compare the context with theta and scaling; `raw` has the file's keys."""
    rope, context = config.rope, config.context
    # Attention sees distances alone: where every layer has a window, none is longer than that.
    far = min(context, config.window) if len(config.sliding) == config.layers else context
    found = []
    reach = rope.original * rope.factor
    if rope.kind in ("linear", "yarn", "dynamic") and far > reach * 1.01:  # Llama 3's own reaches twice as far
        found.append(doubt("rope-short", context=context, kind=rope.kind, reach=int(reach)))
    limit = next((most for theta, most in _UNSCALED.items() if rope.theta <= theta), None)
    lost = limit is not None and (rope.theta <= 10_000 or rope.theta == _LLAMA_3) and far > limit
    if rope.kind == "default" and lost:
        found.append(doubt("rope-lost", context=context, theta=f"{rope.theta:,.0f}"))
    if rope.kind == "dynamic":
        found.append(doubt("rope-dynamic", original=rope.original))
    plain = rope.kind == "default" and rope.theta == 10_000
    if raw.get("rope_parameters") and not raw.get("rope_theta") and not raw.get("rope_scaling") and not plain:
        found.append(doubt("rope-new-keys"))
    yield from found or [fine("rope", kind=rope.kind, theta=f"{rope.theta:,.0f}", context=context)]
