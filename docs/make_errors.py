"""Write docs/errors.md and docs/errors.zh.md from `puna.messages`: python docs/make_errors.py."""

import re
from pathlib import Path
from typing import NamedTuple

from puna.messages import MESSAGES, Message

PAGES = {
    language: Path(__file__).with_name(f"errors{ending}.md") for language, ending in (("en", ""), ("zh", ".zh"))
}
# The command's own: its sentence comes from the parser of arguments.
_USAGE = Message(
    ("the command was called in a way that it does not have", "read the help that the hint names"),
    ("命令的用法不对", "请看提示中给出的帮助"),
)


class _Wording(NamedTuple):
    head: str
    meaning: str
    remedy: str
    stop: str


_WORDINGS = {
    "en": _Wording(
        """# Error codes

[中文](errors.zh.md)

Every error has a stable code. Commands print it as `error: … [CODE]` with a `hint:` on the next line, to stderr, and
exit with 2. In Python it is `error.code` of a `puna.PunaError`, and `error.describe("en")` or `error.describe("zh")`
gives message and hint. Words in *italics* are filled in. E-KEPT codes are warnings: `warning: … [CODE]`, and the work
goes on; in Python they go to the logger "puna".

This page is made from the program's own messages by `python docs/make_errors.py`.
""",
        "Means: ",
        "What to do: ",
        ".",
    ),
    "zh": _Wording(
        """# 错误代码

[English](errors.md)

每个错误都有固定不变的代码。命令在 stderr 上显示 `error: … [代码]`，下一行是 `hint:`，并以 2 退出。在 Python 中，
代码是 `puna.PunaError` 的 `error.code`，`error.describe("zh")` 给出说明与提示。*斜体*的词会换成实际内容。
E-KEPT 开头的是警告：显示 `warning: … [代码]`，工作继续；在 Python 中写入名为 "puna" 的日志。

本页由 `python docs/make_errors.py` 根据程序自己的消息生成。
""",
        "含义：",
        "处理：",
        "。",
    ),
}


def page(language: str) -> str:
    """Give the whole page in "en" or "zh", codes in alphabetical order."""
    words = _WORDINGS[language]
    parts = [words.head]
    for code, entry in sorted({**MESSAGES, "E-USAGE": _USAGE}.items()):
        message, hint = entry.zh if language == "zh" else entry.en
        parts.append(f"## {code}\n\n{words.meaning}{_markdown(message)}{words.stop}\n")
        if hint:
            parts.append(f"{words.remedy}{_markdown(hint)}{words.stop}\n")
    return "\n".join(parts)


def _markdown(text: str) -> str:
    """Escape what Markdown would read as marks, and set the places to fill in italics."""
    plain = re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)
    return re.sub(r"\{((?:\w|\\_)+)\}", r"*\1*", plain)


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(page(language), encoding="utf-8")
