"""XML that may be hostile, by expat: no declarations of its own, so no entities; nothing is fetched or included."""

from xml.parsers import expat

from puna.library.limits import Limits
from puna.library.readers.refused import Refused


class Handler:
    """Takes elements as they come; names are "namespace name", or the name where there is none."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take a start tag."""

    def end(self, name: str) -> None:
        """Take an end tag."""

    def text(self, text: str) -> None:
        """Take text, in pieces of any length."""


def parse_xml(data: bytearray, handler: Handler, limits: Limits) -> None:
    """Parse a document; raise Refused for one that is damaged, nested too deep, or declares anything."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.depth:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"XML is nested more than {limits.depth} deep")
        handler.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(name)

    def doctype(name: str, system: str | None, public: str | None, internal: int) -> None:
        # A mere name of a public form is harmless, for nothing fetches it; old EPUBs have one.
        if internal:
            raise Refused("E-DOCUMENT-XML")

    def declaration(*_: object) -> None:
        raise Refused("E-DOCUMENT-XML")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = declaration
    try:
        parser.Parse(bytes(data), True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: encodings
        raise Refused("E-DOCUMENT-DAMAGED", reason=f"XML: {error}") from None
