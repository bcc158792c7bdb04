"""The process that reads documents: `python -m puna.library.child`, started by `puna.library.parse`.

It is given the bytes of files and gives back documents, one after the other. What parsers do wrong stays here: after its
start it can open no file and no connection any more and start no process; it has so much memory and, for each document,
so much time.
"""

import contextlib
import json
import math
import os
import sys
import time
from typing import BinaryIO

from puna.library.limits import MIB, Limits
from puna.library.readers import preload, read
from puna.library.readers.refused import Refused
from puna.library.wire import ANSWER, DOCUMENT, READY, REFUSED, REQUEST, encode


def main() -> None:
    """Read documents until there are no more."""
    limits = Limits(**json.loads(sys.argv[1]))
    incoming = open(0, "rb", closefd=False)  # noqa: SIM115
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.close(silent)
    preload()
    _confine(limits)
    _answer(answers, READY, b"")
    while head := incoming.read(REQUEST.size):
        name, size = REQUEST.unpack(head)
        suffix = incoming.read(name).decode()
        data = bytearray(size)
        view = memoryview(data)
        at = 0
        while at < size:
            at += incoming.readinto(view[at:]) or sys.exit(1)  # the parent is gone
        view.release()
        _allow(limits.cpu)
        try:
            _answer(answers, DOCUMENT, encode(read(suffix, data, limits)))
            continue
        except Refused as error:
            refused = error
        except RecursionError:
            refused = Refused("E-DOCUMENT-DAMAGED", reason="nested too deep")
        except MemoryError:
            refused = Refused("E-DOCUMENT-MEMORY", limit=limits.memory // MIB)
        except Exception as error:  # a parser's own, whatever it is: this process is here to bear it
            refused = Refused("E-DOCUMENT-DAMAGED", reason=type(error).__name__)
        said = {"code": refused.code, "parameters": refused.parameters}
        _answer(answers, REFUSED, json.dumps(said).encode())


def _answer(answers: BinaryIO, kind: bytes, body: bytes) -> None:
    answers.write(ANSWER.pack(kind, len(body)))
    answers.write(body)
    answers.flush()


def _confine(limits: Limits) -> None:
    """Take away what reading does not need, for good. Windows has none of these limits, macOS not that of memory."""
    try:
        import resource
    except ImportError:
        return
    last = max(descriptor for descriptor in range(64) if _is_open(descriptor))
    lowered = [
        (resource.RLIMIT_NOFILE, last + 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ]
    if mapped := _mapped():
        lowered.append((resource.RLIMIT_AS, mapped + limits.memory))
    for kind, most in lowered:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def _allow(seconds: int) -> None:
    """Allow so much processor time from now on; the kernel ends the process that takes more."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        most = math.ceil(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (most if hard < 0 else min(most, hard), hard))


def _mapped() -> int:
    """Give the bytes of addresses that this process has; 0 where nobody says."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
