"""What was trained, as others read it: an adapter, or a model's folder."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from puna.errors import InputError
from puna.llama.config import LlamaConfig
from puna.train.matrices import STACKS, TARGETS
from puna.train.network import Layer, LoRA, Weights
from puna.train.ranks import fill, whole
from puna.train.student import Student
from puna.weights.adapter import Adapter

_NORMS = ("input_layernorm", "post_attention_layernorm")


def adapter_of(student: Student, lora: LoRA, about: Mapping[str, Any], *, pointer: bool) -> Adapter:
    """Give the low-rank differences, and the `pointer`, in fp32; every process must ask for them."""
    matrices = {}
    for name, pairs, part in _pairs(student):
        matrices[name] = (whole(pairs[f"{part}_A"]), whole(pairs[f"{part}_B"]))
    extra = pointer_tensors(student) if pointer else {}
    return Adapter(matrices, dict.fromkeys(matrices, lora.scale), extra, about)


def lora_of(adapter: Adapter) -> LoRA:
    """Give rank, alpha and targets of an adapter that one more training can go on from.

    Raises InputError where its matrices have several ranks or scales, or some layers have what others have not.
    """
    ranks = {len(a) for a, _ in adapter.matrices.values()}
    scales = set(adapter.scale.values())
    targets = tuple(dict.fromkeys(name.split(".")[-2] for name in adapter.matrices))
    if len(ranks) > 1 or len(scales) > 1 or not set(targets) <= set(TARGETS):
        raise InputError("E-TRAIN-INIT", name=adapter.name)
    (rank,), (scale,) = ranks, scales
    return LoRA(rank, scale * rank, targets)


def go_on(student: Student, adapter: Adapter) -> None:
    """Put an adapter's numbers into a student; one without a pointer leaves the pointer as it is.

    Raises InputError where the adapter does not have the student's matrices.
    """
    every = {name: (pairs[f"{part}_A"], pairs[f"{part}_B"]) for name, pairs, part in _pairs(student)}
    if every.keys() != adapter.matrices.keys():
        raise InputError("E-TRAIN-INIT", name=adapter.name)
    pairs = [
        (ours, theirs) for name in every for ours, theirs in zip(every[name], adapter.matrices[name], strict=True)
    ]
    for name, parameter in student.pointer.named_parameters():
        if f"pointer.{name}" in adapter.extra:
            pairs.append((parameter, adapter.extra[f"pointer.{name}"]))
    for ours, theirs in pairs:
        if ours.shape != theirs.shape:
            raise InputError("E-TRAIN-INIT", name=adapter.name)
        fill(ours, theirs.to(ours.dtype))
    student.network.changed()


def extracted(student: Student, weights: Weights, rank: int, about: Mapping[str, Any], *, pointer: bool) -> Adapter:
    """Give the low-rank differences that come nearest to what full training has changed (Eckart and Young 1936)."""
    matrices = {}
    for name, trained in tensors_of(student):
        if name.split(".")[-2] in TARGETS:
            change = trained - weights.tensor(name, torch.float32)
            u, s, v = torch.linalg.svd(change, full_matrices=False)
            root = s[:rank].sqrt()
            matrices[name] = (root[:, None] * v[:rank], u[:, :rank] * root)
    extra = pointer_tensors(student) if pointer else {}
    return Adapter(matrices, dict.fromkeys(matrices, 1.0), extra, about)


def tensors_of(student: Student) -> Iterator[tuple[str, Tensor]]:
    """Give every tensor of the network under Hugging Face's names, in fp32; every process must ask for them."""
    network, config = student.network, student.network.config
    yield "model.embed_tokens.weight", whole(network.embedding)
    for n, layer in enumerate(_layers(student)):
        for stack, (room, parts) in STACKS.items():
            rows = [_rows(config, part) for part in parts]
            for part, weight in zip(parts, torch.split(whole(getattr(layer, stack).weight), rows), strict=True):
                yield f"model.layers.{n}.{room}.{part}.weight", weight
        for name in _NORMS:
            yield f"model.layers.{n}.{name}.weight", whole(getattr(layer, name))
    yield "model.norm.weight", whole(network.norm)
    if not config.tied:
        yield "lm_head.weight", whole(network.head)


def pointer_tensors(student: Student) -> dict[str, Tensor]:
    """Give the pointer's numbers, in fp32, as an adapter names them; every process must ask for them."""
    return {f"pointer.{name}": whole(each) for name, each in student.pointer.named_parameters()}


def _layers(student: Student) -> Iterator[Layer]:
    for layer in student.network.layers:
        yield cast(Layer, layer)


def _pairs(student: Student) -> Iterator[tuple[str, Any, str]]:
    for n, layer in enumerate(_layers(student)):
        for stack, (room, parts) in STACKS.items():
            pairs = getattr(layer, stack).pairs
            for part in parts:
                if f"{part}_A" in pairs:
                    yield f"model.layers.{n}.{room}.{part}.weight", pairs, part


def _rows(config: LlamaConfig, part: str) -> int:
    sizes = {"q_proj": config.heads * config.head_dim, "o_proj": config.width, "down_proj": config.width}
    sizes |= dict.fromkeys(("k_proj", "v_proj"), config.kv_heads * config.head_dim)
    return sizes.get(part, config.ffn_width)
