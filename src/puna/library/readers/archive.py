"""Archives that may be hostile: what they claim to hold is bounded before anything of it is unpacked.

Nothing is written anywhere: names of members are looked up, and never used as paths. Archives in archives stay closed.
"""

import io
import zipfile
import zlib

from puna.library.limits import MIB, Limits
from puna.library.readers.refused import Refused


class Archive:
    """A ZIP archive in memory; raises Refused for one that is damaged, encrypted, or would unpack to too much."""

    def __init__(self, data: bytearray, limits: Limits) -> None:
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
            members = self._file.infolist()
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, zlib.error) as error:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"no ZIP archive: {error}") from None
        if len(members) > limits.members:
            raise Refused("E-DOCUMENT-ARCHIVE", reason=f"{len(members)} files, more than {limits.members}")
        total = sum(member.file_size for member in members)
        if total > limits.unpacked:
            raise Refused("E-DOCUMENT-ARCHIVE", reason=f"{total >> 20} MiB, more than {limits.unpacked >> 20}")
        for size, packed in [(total, len(data)), *((m.file_size, m.compress_size) for m in members)]:
            if size > max(MIB, limits.ratio * packed):
                raise Refused("E-DOCUMENT-ARCHIVE", reason=f"{size} bytes out of {packed}")
        self._members = {member.filename: member for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str) -> bytearray:
        """Give a member; raise Refused where there is none, or it is not as it claims."""
        member = self._members.get(name)
        if member is None:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"it has no {name}")
        if member.flag_bits & 1:
            raise Refused("E-DOCUMENT-ENCRYPTED")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"{name} is packed in a way that documents do not have")
        try:
            with self._file.open(member) as file:
                data = bytearray(file.read(member.file_size + 1))
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError, zlib.error) as error:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"{name}: {error}") from None
        if len(data) != member.file_size:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"{name} is not as long as it claims")
        return data
