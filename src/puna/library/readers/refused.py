"""How a reader refuses a document."""

from puna.errors import shown


class Refused(Exception):
    """A document cannot be read: `code` is that of a DocumentError, whose path the reader does not know."""

    def __init__(self, code: str, /, **parameters: object) -> None:
        self.code = code
        self.parameters = {
            name: value if type(value) is int and value.bit_length() <= 64 else shown(value)
            for name, value in parameters.items()
        }
        super().__init__(code)
