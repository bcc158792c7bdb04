"""From bytes to text: UTF-8, UTF-16 with a byte order mark, else GB18030; always strictly."""

import codecs

from puna.library.readers.refused import Refused

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "cp950",
    "big5-hkscs": "big5hkscs",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso-8859-2": "iso8859-2",
    "iso-8859-5": "iso8859-5",
    "iso-8859-15": "iso8859-15",
    "koi8-r": "koi8-r",
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
}
"""What pages name, and the codec for it; as browsers do, the larger one where names are used for two."""
# Of what is not ASCII in Chinese, so much stands in GB2312 (simplified), or so much is one of these (any kind). Texts of
# SQuAD's kind in simplified and traditional Chinese, and classics, have 91 % or 10 % at the least; in Big5, Shift-JIS,
# Windows-1251 or Latin-1, taken for GB18030, all but some of a few words have less.
_SIMPLIFIED, _COMMON_SHARE = 0.8, 0.06
_COMMON = frozenset(
    "，。、：；「」的一是不了在人有我他中大上來来為为這这個个們们和國国地到以時时要就出會会可也對对生能而子之年後后其於于與与及者曰無无所"
)


def decoded(data: bytearray, declared: str | None = None) -> str:
    """Decode a file; line ends stay, a byte order mark is no part of the text. `declared`: an encoding that it names.

    Raises Refused for bytes that do not fit, and for NUL characters, which no text has.
    """
    text = _decoded(data, declared)
    if "\0" in text:
        raise Refused("E-DOCUMENT-DAMAGED", reason="it holds NUL characters, as text does not")
    return text


def _decoded(data: bytearray, declared: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding, len(mark))
    if declared and (text := _declared(data, declared)) is not None:
        return text
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.start
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise Refused("E-DOCUMENT-ENCODING", byte=max(byte, error.start)) from None
    # Many bytes of other encodings can be taken for GB18030, as characters that nobody writes.
    foreign = [c for c in text if c > "\x7f"]
    simplified = len("".join(foreign).encode("gb2312", "ignore")) / 2
    if simplified < _SIMPLIFIED * len(foreign) and sum(map(_COMMON.__contains__, foreign)) < _COMMON_SHARE * len(
        foreign
    ):
        raise Refused("E-DOCUMENT-ENCODING", byte=byte)
    return text


def _declared(data: bytearray, declared: str) -> str | None:
    """Decode as a page says that it is encoded; None where it is not so, or nothing that is known here."""
    name = declared.lower().replace("_", "-")
    try:
        return data.decode(ENCODINGS[name])
    except (KeyError, UnicodeDecodeError):
        return None


def _strict(data: bytearray, encoding: str, before: int) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Refused("E-DOCUMENT-ENCODING", byte=before + error.start) from None
