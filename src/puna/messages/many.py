"""Sentences of many questions at once, on one machine or on several."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-MANY-NO-TEXT": Message(
        (
            "{path}, line {line}, has no text to read",
            "add text, context or texts, or ask a library with --library",
        ),
        ("{path} 第 {line} 行没有可读的原文", "请加上 text、context 或 texts，或用 --library 向文档库提问"),
    ),
    "E-MANY-TEXTS": Message(
        ("{path}, line {line}, has both {first} and {second}", "keep one of them"),
        ("{path} 第 {line} 行同时有 {first} 和 {second}", "请只保留其中一个"),
    ),
    "E-ROW-FAILED": Message(
        ("the question could not be asked: {reason}", "ask it alone with puna ask, and report what it says"),
        ("这个问题没能问成：{reason}", "请用 puna ask 单独提问，并报告它的输出"),
    ),
    "E-ROW-WORKER": Message(
        (
            "the process that asked the question died, again and again",
            "ask it alone with puna ask; a text that takes more memory than there is does this",
        ),
        ("提出这个问题的进程一再中止", "请用 puna ask 单独提问；原文所需内存超出现有内存时会这样"),
    ),
    "E-PART-OTHER": Message(
        (
            "{path} was begun for other rows, another model or other options",
            "go on with those, name another file with -o, or remove it to begin anew",
        ),
        (
            "{path} 是为别的数据行、别的模型或别的选项开始的",
            "请按原样继续，用 -o 指定另一个文件，或删除它重新开始",
        ),
    ),
    "E-WORKERS": Message(
        ("--workers is {value}, wanted 1 or more", "leave it out for 2, or one for each machine"),
        ("--workers 是 {value}，应为 1 或更大", "不写则为 2 个，或每台机器一个"),
    ),
    "E-WORKERS-ENGINE": Message(
        ("{option} is for --engine ray", "add --engine ray, or leave it out"),
        ("{option} 只用于 --engine ray", "请加上 --engine ray，或去掉它"),
    ),
    "E-RAY-MISSING": Message(
        ("Ray is not installed, which --engine ray needs", "pip install 'puna[scale]'"),
        ("没有安装 --engine ray 所需的 Ray", "请 pip install 'puna[scale]'"),
    ),
    "E-RAY-FAILED": Message(
        (
            "the Ray cluster failed: {reason}",
            "the same command goes on from the rows that are done, also without --engine ray",
        ),
        ("Ray 集群出错：{reason}", "再次运行同一命令会从已完成的行接着做，不加 --engine ray 也可以"),
    ),
}
