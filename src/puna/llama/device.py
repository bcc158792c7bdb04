"""Where the model computes."""

import torch

from puna.errors import InputError


def choose_device(wanted: str | torch.device | None = None) -> torch.device:
    """Give the device meant by "cpu", "cuda" or "cuda:N"; "auto" and None: a GPU where there is one.

    Raises InputError where there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted is None or wanted == "auto":
        return torch.device("cuda" if count else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise InputError("E-DEVICE-UNKNOWN", device=wanted) from None
    if device.type not in ("cpu", "cuda"):
        raise InputError("E-DEVICE-UNKNOWN", device=wanted)
    if device.type == "cuda" and (device.index or 0) >= count:
        known = ", ".join(f"cuda:{number}" for number in range(count)) or "cpu"
        raise InputError("E-DEVICE-MISSING", device=wanted, known=known)
    return device
