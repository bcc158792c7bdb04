"""What the service takes on, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a service.

    body, upload: bytes of a request, of a document. uploads: documents that are received at once. adding, looking: what
    is done at once to change the library, to read it. tokens: that a request may ask for, prompts × n × (prompt + to be
    written). waiting: requests that wait. texts: read and written at once. calls: questions, rankings and labellings at
    once. seconds: for a request, its waiting included. memory: bytes of keys and values of the texts; shelf: of what
    questions have read. choices: texts of one request.
    """

    body: int = 4 << 20
    upload: int = 64 << 20
    uploads: int = 8
    adding: int = 2
    looking: int = 4
    tokens: int = 1 << 18
    waiting: int = 128
    texts: int = 64
    calls: int = 8
    seconds: float = 300.0
    memory: int = 1 << 30
    shelf: int = 1 << 29
    choices: int = 128
    header_seconds: float = 5.0
    body_seconds: float = 30.0
    grace: float = 8.0
