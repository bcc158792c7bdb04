"""Dense weights into ggml's K formats: super-blocks of 256 weights, whose small blocks' scales are integers themselves.

The search is that of `ggml-quants.c` (`make_qkx2_quants`, `make_qx_quants`): the scale of a small block is not the one
that just holds its largest weight but, of some that are tried, the one with the least weighted error. Layouts:
`puna.weights.blocks`, which reads them back.
"""

import torch
from torch import Tensor

_TINY = 1e-15  # ggml's GROUP_MAX_EPS: a block of smaller weights is zero


def q4_k(x: Tensor) -> Tensor:
    """Quantise super-blocks, fp32 [n, 256] to uint8 [n, 144]."""
    head, integers = _affine_blocks(x, 15, -1.0, 20)
    pairs = integers.view(-1, 4, 2, 32)
    return torch.cat((head, (pairs[:, :, 0] | pairs[:, :, 1] << 4).flatten(1)), 1)


def q5_k(x: Tensor) -> Tensor:
    """Quantise super-blocks, fp32 [n, 256] to uint8 [n, 176]."""
    head, integers = _affine_blocks(x, 31, -0.5, 15)
    pairs = (integers & 15).view(-1, 4, 2, 32)
    fifth = _joined(integers >> 4, 1)
    return torch.cat((head, fifth, (pairs[:, :, 0] | pairs[:, :, 1] << 4).flatten(1)), 1)


def q6_k(x: Tensor) -> Tensor:
    """Quantise super-blocks, fp32 [n, 256] to uint8 [n, 210]."""
    x = x.view(-1, 16, 16)
    scale = _symmetric_scale(x)
    largest = scale.gather(1, scale.abs().argmax(1, keepdim=True))
    nothing = largest.abs() < _TINY
    inverse = torch.where(nothing, 0.0, -128 / largest)
    step = torch.where(nothing, 0.0, 1 / inverse).half()
    steps = (inverse * scale).round().clamp(-128, 127)
    divisor = step.float() * steps
    integers = _divided(x, divisor[:, :, None]).clamp(-32, 31) + 32
    halves = integers.to(torch.uint8).view(-1, 2, 128)
    low = halves[:, :, :64] & 15 | (halves[:, :, 64:] & 15) << 4
    high = _joined((halves >> 4).view(-1, 4, 32), 2).view(-1, 64)
    return torch.cat((low.flatten(1), high, steps.to(torch.int8).view(torch.uint8), step.view(torch.uint8)), 1)


def _affine_blocks(x: Tensor, top: int, first: float, tries: int) -> tuple[Tensor, Tensor]:
    """Give the 16 bytes of scales and minima of each super-block, and its integers 0..top, uint8 [n, 8, 32]."""
    x = x.view(-1, 8, 32)
    scale, least = _affine_scales(x, top, first, tries)
    factors, integers = [], []
    for values in (scale, least):
        most = values.amax(1, keepdim=True)
        inverse = torch.where(most > 0, 63 / most, 0.0)
        integers.append((inverse * values).round().clamp(max=63))
        factors.append((most / 63).half())
    d, m = (factor.float() * parts for factor, parts in zip(factors, integers, strict=True))
    found = _divided(x + m[:, :, None], d[:, :, None]).clamp(0, top).to(torch.uint8)
    return torch.cat((torch.cat(factors, 1).view(torch.uint8), _six_bits(*integers)), 1), found


def _affine_scales(x: Tensor, top: int, first: float, tries: int) -> tuple[Tensor, Tensor]:
    """Give scale and minimum (what is taken off, 0 or more) of each block of 32, fp32 [n, 8] each."""
    weight = x.square().mean(-1, keepdim=True).sqrt() + x.abs()
    low, high = x.amin(-1).clamp(max=0), x.amax(-1)
    span = high - low
    level = span == 0  # all weights are one number, 0 or less: the minimum is all there is
    span = span.masked_fill(level, 1)
    offset = x - low[..., None]
    sum_w, sum_x = weight.sum(-1), (weight * x).sum(-1)
    scale, least = span / top, low
    best = _error(x, weight, (offset * (top / span)[..., None]).round().clamp(0, top), scale, least)
    for number in range(tries + 1):
        integers = (offset * ((first + 0.1 * number + top) / span)[..., None]).round_().clamp_(0, top)
        weighted = weight * integers
        sum_l, sum_l2, sum_xl = weighted.sum(-1), (weighted * integers).sum(-1), (weighted * x).sum(-1)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        tried = (sum_w * sum_xl - sum_x * sum_l) / determinant
        below = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = below > 0
        tried = torch.where(above, sum_xl / sum_l2, tried)
        below = below.masked_fill(above, 0)
        error = _error(x, weight, integers, tried, below)
        better = (determinant > 0) & (error < best)  # what is no number is not better
        scale, least = torch.where(better, tried, scale), torch.where(better, below, least)
        best = torch.where(better, error, best)
    return scale.masked_fill(level, 0), -torch.where(level, low, least)


def _error(x: Tensor, weight: Tensor, integers: Tensor, scale: Tensor, least: Tensor) -> Tensor:
    return (integers * scale[..., None]).add_(least[..., None]).sub_(x).square_().mul_(weight).sum(-1)


def _symmetric_scale(x: Tensor) -> Tensor:
    """Give the scale of each block of 16 whose integers -32..31 come nearest, large weights counting more."""
    largest = x.gather(-1, x.abs().argmax(-1, keepdim=True))
    nothing = largest.abs() < _TINY
    weight = x.square()

    def fitted(shift: float) -> tuple[Tensor, Tensor]:
        integers = (x * (-(32 + shift) / largest)).round_().clamp_(-32, 31)
        weighted = weight * integers
        return (weighted * x).sum(-1), (weighted * integers).sum(-1)

    sum_xl, sum_l2 = fitted(0.0)
    scale = sum_xl / sum_l2
    best = scale * sum_xl
    for number in (*range(-9, 0), *range(1, 10)):
        sum_xl, sum_l2 = fitted(0.1 * number)
        better = (sum_l2 > 0) & (sum_xl * sum_xl > best * sum_l2)
        scale = torch.where(better, sum_xl / sum_l2, scale)
        best = torch.where(better, scale * sum_xl, best)
    return scale.masked_fill(nothing[..., 0] | ~scale.isfinite(), 0)


def _divided(x: Tensor, divisor: Tensor) -> Tensor:
    """Divide and round to even; nothing by zero is zero."""
    return torch.where(divisor == 0, 0.0, x / divisor).round_()


def _six_bits(scale: Tensor, least: Tensor) -> Tensor:
    """Pack 8 scales and 8 minima of six bits into 12 bytes, as `blocks._six_bit_pairs` unpacks them."""
    scale, least = scale.to(torch.uint8), least.to(torch.uint8)
    first = scale[:, :4] | scale[:, 4:] >> 4 << 6
    second = least[:, :4] | least[:, 4:] >> 4 << 6
    return torch.cat((first, second, scale[:, 4:] & 15 | (least[:, 4:] & 15) << 4), 1)


def _joined(fields: Tensor, bits: int) -> Tensor:
    """Put fields of so many bits, uint8 [n, 8 / bits, m], together to bytes [n, m], the first lowest."""
    out = torch.zeros_like(fields[:, 0])
    for number in range(8 // bits):
        out |= fields[:, number] << number * bits
    return out
