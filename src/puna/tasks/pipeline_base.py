"""What all pipelines share: which arguments they take, and what texts may come as."""

from collections.abc import Mapping
from typing import Any, ClassVar

from puna.answer.reader import Reader
from puna.errors import InputError, shown

# Of speed and memory alone, or of how a model of old was kept from texts too long for it: here nothing is ever cut.
_INERT = frozenset({"batch_size", "num_workers", "padding", "truncation", "max_length"})


class Pipeline:
    """A task with a loaded model, called as the pipelines of Transformers 4 were.

    takes: the arguments of a call that count. inert: others that are taken and change nothing. counts: of `takes` those
    that are whole numbers from 1. flags: those that are True or False. fixed: those that have one value that Puna can do.
    None stands for leaving an argument out, as it did there.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    inert: ClassVar[frozenset[str]] = _INERT
    counts: ClassVar[frozenset[str]] = frozenset()
    flags: ClassVar[frozenset[str]] = frozenset()
    fixed: ClassVar[Mapping[str, bool]] = {}

    def __init__(self, task: str, reader: Reader, defaults: Mapping[str, Any]) -> None:
        self.task, self.reader, self._defaults = task, reader, defaults

    @classmethod
    def check(cls, task: str, given: Mapping[str, Any]) -> None:
        """Raise InputError for arguments that this pipeline has not, and for values that it cannot follow."""
        for name, value in given.items():
            if name not in cls.takes | cls.inert:
                raise InputError(
                    "E-PIPELINE-ARGUMENT", task=task, name=shown(name), known=", ".join(sorted(cls.takes))
                )
            if value is None:
                continue
            if name in cls.counts and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError("E-PIPELINE-VALUE", name=name, value=shown(value), wanted="1, 2, 3, …")
            if name in cls.flags and not isinstance(value, bool):
                raise InputError("E-PIPELINE-VALUE", name=name, value=shown(value), wanted="True, False")
            if name in cls.fixed and value is not cls.fixed[name]:
                raise InputError("E-PIPELINE-VALUE", name=name, value=shown(value), wanted=cls.fixed[name])

    def __call__(self, *inputs: Any, **given: Any) -> Any:
        """Do the task."""
        raise NotImplementedError

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give a call's arguments over those that the pipeline was made with."""
        self.check(self.task, given)
        return {**self._defaults, **given}

    def _strings(self, given: Any) -> list[str]:
        """Give texts as a list; raise InputError for what is neither a string nor a list of strings."""
        found = [given] if isinstance(given, str) else given
        if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
            raise self._wrong(given, "str")
        return list(found)

    def _wrong(self, given: object, wanted: str) -> InputError:
        return InputError("E-PIPELINE-INPUT", task=self.task, value=shown(given, 40), wanted=wanted)
