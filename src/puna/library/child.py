"""The process that reads documents: `python -m puna.library.child`, started by `puna.library.parse`.

It is given the bytes of files and gives back documents, one after the other. What parsers do wrong stays here: after its
start it can open no file and no connection any more, has so much memory and, for each document, so much time.
"""

import contextlib
import json
import math
import os
import struct
import sys
import time
from typing import BinaryIO

from puna.library.limits import Limits
from puna.library.readers import preload, read
from puna.library.readers.refused import Refused
from puna.library.wire import encode

REQUEST = struct.Struct("<HQ")
"""Bytes of the suffix, and of the file."""
ANSWER = struct.Struct("<cQ")
"""What follows, and its bytes."""
READY, DOCUMENT, REFUSED = b"+", b"d", b"r"


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
        except Refused as refused:
            code, parameters = refused.code, refused.parameters
        except RecursionError:
            code, parameters = "E-DOCUMENT-DAMAGED", {"reason": "nested too deep"}
        except MemoryError:
            code, parameters = "E-DOCUMENT-MEMORY", {"limit": limits.memory >> 20}
        except Exception as error:  # a parser's own, whatever it is: its process is here to bear it
            code, parameters = "E-DOCUMENT-DAMAGED", {"reason": type(error).__name__}
        _answer(answers, REFUSED, json.dumps({"code": code, "parameters": parameters}).encode())
        if code == "E-DOCUMENT-MEMORY":
            sys.exit()  # what is left is in pieces


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
    lowered = [(resource.RLIMIT_NOFILE, last + 1), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)]
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
