"""The processes that train together, as `torchrun` starts them, or one alone."""

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from puna.llama.device import choose_device
from puna.train.student import Student


class Ranks:
    """This process among its like. Each holds a part of what is trained, and computes a part of each step."""

    def __init__(self, device: str = "auto") -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = choose_device(device)
        if self.world > 1:
            if self.device.type == "cuda" and device in ("auto", "cuda"):
                self.device = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, student: Student) -> None:
        """Leave each process a part of what a student trains: it is put together where it is used (FSDP)."""
        if self.world == 1:
            return
        mesh = init_device_mesh(self.device.type, (self.world,))
        for layer in student.network.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(student, mesh=mesh)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Add up each value over all processes."""
        if self.world == 1:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(found)
        return [float(value) for value in found]

    def any(self, value: bool) -> bool:
        """Tell whether any process says so."""
        return self.sum([float(value)])[0] > 0

    def close(self) -> None:
        """Part from the others."""
        if self.world > 1:
            dist.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """Give a tensor of which each process may hold a part; all processes must ask for it."""
    full: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu()


def fill(tensor: Tensor, values: Tensor) -> None:
    """Put values into a tensor of which each process may hold a part."""
    with torch.no_grad():
        if isinstance(tensor, DTensor):
            values = distribute_tensor(values.to(tensor.device), tensor.device_mesh, tensor.placements)
        tensor.copy_(values)
