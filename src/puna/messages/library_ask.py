"""Sentences of asking a library."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-LIBRARY-ASK-PASSAGES": Message(
        ("--passages is {value}, wanted 1 or more", "leave it out for the default"),
        ("--passages 是 {value}，应至少为 1", "不写则用默认值"),
    ),
    "E-LIBRARY-ASK-NONE": Message(
        ("--passages is for a library, and none was named", "name one with --library, or leave --passages out"),
        ("--passages 用于文档库，但没有指定文档库", "请用 --library 指定，或去掉 --passages"),
    ),
    "E-LIBRARY-ASK-TEXTS": Message(
        (
            "a question is asked of a library or of texts, not of both",
            "leave out --library, or the files and --text",
        ),
        ("一次只能向文档库提问，或向文本提问", "请去掉 --library，或去掉文件和 --text"),
    ),
}
