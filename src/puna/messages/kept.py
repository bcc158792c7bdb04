"""Sentences of what was read and is kept: warnings, but for the first."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-MEMORY": Message(
        ("{value} bytes of memory make no sense", "give 0 or more; 1 GiB is the default"),
        ("内存 {value} 字节没有意义", "请给出 0 或更大的数；默认为 1 GiB"),
    ),
    "E-KEPT-DAMAGED": Message(
        ("what was kept of a text is damaged and is read anew: {reason}", "nothing is to be done"),
        ("已保存的阅读结果损坏，将重新阅读：{reason}", "无需处理"),
    ),
    "E-KEPT-FOREIGN": Message(
        (
            "{path} is not what was kept of a text under this name; it is read anew",
            "nothing is to be done; if it comes again, check the disk",
        ),
        ("{path} 不是以此名保存的阅读结果，将重新阅读", "无需处理；若再次出现，请检查磁盘"),
    ),
    "E-KEPT-STALE": Message(
        (
            "the model {path} has changed; {count} files that the one before had read are removed",
            "nothing is to be done",
        ),
        ("模型 {path} 已改变；旧模型保存的 {count} 个阅读结果已删除", "无需处理"),
    ),
    "E-KEPT-WRITE": Message(
        (
            "what was read cannot be kept in {folder}: {reason}",
            "check space and permissions there, or set PUNA_CACHE to another folder",
        ),
        ("无法在 {folder} 保存阅读结果：{reason}", "请检查那里的空间和权限，或把 PUNA_CACHE 设为其他文件夹"),
    ),
    "E-KEPT-LIMIT": Message(
        (
            "the text is too long to be kept whole in {folder}, which may take {limit} MB",
            "what does not fit is read anew for each question",
        ),
        ("文本太长，{folder}（上限 {limit} MB）放不下全部阅读结果", "放不下的部分每次提问都会重新阅读"),
    ),
}
