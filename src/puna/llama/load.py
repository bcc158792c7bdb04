"""A checkpoint's tensors put into the model."""

import torch
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.llama.linear import default_dtype
from puna.llama.model import Llama
from puna.llama.packed import Packed, engine_for
from puna.weights.checkpoint import Checkpoint


def load(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    kernels: bool = True,
) -> Llama:
    """Build the model of a checkpoint; raise ModelFileError where it is not one that Puna computes.

    `dtype` is that of the matrix products (default: what the hardware is fast in), on a GPU of the head as well, and of
    the embedding where the file has it in bf16. All else is fp32; see the numbers policy in CONTRIBUTING.
    Without `kernels` torch does the work, as on a CPU for which there are none.
    """
    config = LlamaConfig.from_dict(checkpoint.config)
    engine = engine_for(config, dtype) if kernels and torch.device(device).type == "cpu" else None
    with torch.device("meta"):
        model = Llama(config)  # blank: every tensor is assigned below
    if engine is not None:
        model.packed = Packed(config, checkpoint, engine)
        return model.eval().requires_grad_(False)
    dtype = dtype or default_dtype(device)
    gpu = torch.device(device).type == "cuda"
    table = "model.embed_tokens.weight"
    head = table if config.tied else "lm_head.weight"
    state: dict[str, Tensor] = {}
    for name, _ in model.named_parameters():
        wide = "norm" in name or (name in (table, head) and not (gpu and checkpoint.type_name(name) == "BF16"))
        state[name] = checkpoint.tensor(name, torch.float32 if wide else dtype).to(device)
    state["lm_head.weight"] = state[head].to(dtype) if gpu else state[head]
    model.load_state_dict(state, assign=True)
    if state["lm_head.weight"] is state[table]:
        model.tie()
    return model.eval().requires_grad_(False)
