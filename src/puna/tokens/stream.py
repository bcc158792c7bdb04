"""Text out of tokens as they come."""

import codecs

from puna.tokens.vocabulary import Vocabulary


class StreamDecoder:
    """Turns tokens into text one by one, holding back the bytes of a character that is not complete.

    What `feed` and `flush` return, joined, equals `Tokenizer.decode` of all the ids.
    """

    def __init__(self, vocabulary: Vocabulary, hidden: frozenset[int]) -> None:
        self._vocabulary = vocabulary
        self._hidden = hidden
        self._restart()

    def _restart(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = self._vocabulary.prefix != "none"

    def feed(self, token_id: int) -> str:
        """Give the text that this token completes, which may be empty."""
        if token_id in self._hidden:
            return ""
        return self._text(self._vocabulary.token_bytes(token_id), final=False)

    def flush(self) -> str:
        """End the text: an unfinished character becomes U+FFFD. The decoder can then be used afresh."""
        text = self._text(b"", final=True)
        self._restart()
        return text

    def _text(self, raw: bytes, final: bool) -> str:
        text = self._decoder.decode(raw, final)
        if self._at_start and text:  # the dummy space in front of the whole text is not part of it
            self._at_start = False
            text = text.removeprefix(" ")
        return text
