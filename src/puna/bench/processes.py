"""Starting processes so that none is lost; stopping one for a while, and ending it, with all that it started."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session of its own, and everything in that session."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def stop_and_go(process: "subprocess.Popen[bytes]", *, go: bool) -> None:
    """Stop a process that leads a session of its own, and everything in that session, or let it go on."""
    if hasattr(os, "killpg"):
        with suppress(OSError):  # it has ended
            os.killpg(process.pid, signal.SIGCONT if go else signal.SIGSTOP)


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Hold KeyboardInterrupt back until the block is done: what it starts is then known to who has to end it."""
    if threading.current_thread() is not threading.main_thread():  # others are never interrupted
        yield
        return
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
