"""Sentences of making rows to learn from."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-TRAIN-NO-ROWS": Message(
        (
            "no question can be made of {files}: {passages} passage(s) in them are long enough",
            "give running text, in one document at least 100 English words or 200 Chinese characters",
        ),
        (
            "无法从 {files} 造出问题：其中足够长的段落有 {passages} 个",
            "请提供连续的文章，同一篇里至少要有 200 个汉字或 100 个英文词",
        ),
    ),
}
