"""Ending a process with all that it started."""

import os
import signal
import subprocess
from contextlib import suppress


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session of its own, and everything in that session."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
