"""The sentences of every error code, English and Chinese, with what to do next.

One line each, no full stop; `{name}` is filled from the error's parameters.
"""

from typing import NamedTuple


class Message(NamedTuple):
    """Message and hint of one code in both languages; an empty hint is left out when printed."""

    en: tuple[str, str]
    zh: tuple[str, str]


MESSAGES: dict[str, Message] = {
    # --- input ---
    "E-FILE-MISSING": Message(
        ("there is no file {path}", "check the path; relative paths start at {cwd}"),
        ("找不到文件 {path}", "请检查路径；相对路径从 {cwd} 算起"),
    ),
    # --- weights ---
    # --- pull ---
    # --- tokens ---
}
