"""Text let through up to a stop string."""

from collections.abc import Sequence


class StopFilter:
    """Passes text on piece by piece, holding back what may be the beginning of a stop string.

    The string that is complete first ends the text, of two that are complete at once the longer one; so the
    result depends on the text alone, not on where its pieces are cut.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Give what of the text so far is certain to stand before any stop string."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        sure = len(text) - self._overlap(text)
        self._held = text[sure:]
        return text[:sure]

    def flush(self) -> str:
        """Give what was held back: no stop string has come, and none will."""
        text, self._held = self._held, ""
        return text

    def _overlap(self, text: str) -> int:
        """Count the characters at the end of the text that may begin a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
