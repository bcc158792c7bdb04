"""The machine's own limits as a worker: how fast torch multiplies large matrices, and reads memory."""

import torch
from protocol import Engine, Job, Values, seconds, serve

_SIZES = ((2048, 2048, 2048), (512, 4096, 4096), (4096, 4096, 1024))
_BYTES = 2**30  # many times a usual cache
_TRIES = 3


class Limits(Engine):
    """Nothing but arithmetic."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        torch.set_num_threads(job["threads"])
        self.about = f"torch {torch.__version__}"

    def perform(self, job: Job) -> Values:
        """Give operations a second in bf16 and fp32, and bytes a second of a sum over an array."""
        flops = {
            kind: max(self._multiply(kind, *size) for size in _SIZES) for kind in (torch.bfloat16, torch.float32)
        }
        array = torch.ones(_BYTES // 4)
        return {
            "matmul_bf16": flops[torch.bfloat16],
            "matmul_fp32": flops[torch.float32],
            "read": _BYTES / min(seconds(array.sum) for _ in range(_TRIES + 1)),
        }

    def _multiply(self, kind: torch.dtype, rows: int, inner: int, columns: int) -> float:
        left, right = torch.randn(rows, inner).to(kind), torch.randn(columns, inner).to(kind)
        times = [seconds(lambda: left @ right.T) for _ in range(_TRIES + 1)]
        return 2 * rows * inner * columns / min(times)


if __name__ == "__main__":
    serve(Limits, Limits.perform)
