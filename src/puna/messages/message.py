"""What an entry of the tables is."""

from typing import NamedTuple


class Message(NamedTuple):
    """Message and hint of one code in both languages; an empty hint is left out when printed."""

    en: tuple[str, str]
    zh: tuple[str, str]
