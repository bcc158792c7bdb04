"""The bounds within which documents are read, all in one place; what lies outside is refused by name, never cut."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one document may take, and what it may hold."""

    cpu: int = 10
    """Seconds of processor time in the process that reads."""
    wall: float = 300.0
    """Seconds until a process that does not answer is ended, however little it computes."""
    memory: int = 512 * MIB
    """Bytes of addresses that the process may take beyond what it has at its start; the file itself is among them."""
    file: int = 256 * MIB
    """Bytes of a file."""
    characters: int = 50_000_000
    """Characters of text that come out of it."""
    pieces: int = 1_000_000
    """Blocks, and likewise boxes and marks."""
    pages: int = 10_000
    members: int = 10_000
    """Files in an archive (DOCX, EPUB). Archives in archives are not opened."""
    unpacked: int = 256 * MIB
    """Bytes of all of them, unpacked."""
    ratio: int = 100
    """Unpacked bytes to packed ones, of the whole archive and of each file that unpacks to more than a MiB."""
    depth: int = 256
    """Elements within each other in XML."""


LIMITS = Limits()
