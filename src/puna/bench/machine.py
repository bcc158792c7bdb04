"""The machine that figures come from."""

import os
import platform
from pathlib import Path
from typing import Any


def machine(threads: int) -> dict[str, Any]:
    """Describe it: every engine computes with `threads`."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": physical_cores(),
        "threads": threads,
        "memory_bytes": _memory(),
        "load_average": _load(),
        "python": platform.python_version(),
    }


def physical_cores() -> int:
    """Count the cores that this process may use; two threads of one core count once, where Linux tells."""
    usable = _usable()
    cores: set[tuple[str, str]] = set()
    for cpu in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            package, core = ((topology / name).read_text("ascii") for name in ("physical_package_id", "core_id"))
        except OSError:
            return len(usable)
        cores.add((package, core))
    return len(cores)


def _load() -> float | None:
    """Give how many processes were at work in the last minute: figures of a busy machine mean little."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _usable() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return set(range(os.cpu_count() or 1))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
