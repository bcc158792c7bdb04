"""Sentences of the benchmark. A peer's failure is no error of the command: it stands in the result."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-BENCH-GGUF": Message(
        ("{path} is no GGUF file, and the peers read nothing else", "name a GGUF file with --model"),
        ("{path} 不是 GGUF 文件，而对比的程序只能读取 GGUF", "请用 --model 指定一个 GGUF 文件"),
    ),
    "E-BENCH-CONTEXT": Message(
        (
            "the model's context of {context} tokens is too short: a text and a question need {wanted}",
            "use a model with a longer context",
        ),
        ("模型的上下文只有 {context} 个词元，太短：文本加问题需要 {wanted} 个", "请换用上下文更长的模型"),
    ),
    "E-BENCH-PEER": Message(
        ("there is no peer {name}", "choose among {known}, separated by commas, or none"),
        ("没有名为 {name} 的对比程序", "可选：{known}，用逗号分隔；none 表示不对比"),
    ),
    "E-PEER-INSTALL": Message(
        ("it cannot be installed: {reason}", "the whole of pip's output stands in {log}"),
        ("无法安装：{reason}", "pip 的完整输出在 {log}"),
    ),
    "E-PEER-ENDED": Message(
        ("it ended in the middle of {job}, with exit status {status}: {reason}", ""),
        ("它在执行 {job} 时中止，退出状态 {status}：{reason}", ""),
    ),
    "E-PEER-FAILED": Message(
        ("it failed at {job}: {reason}", ""),
        ("它在执行 {job} 时出错：{reason}", ""),
    ),
    "E-PEER-RUBBISH": Message(
        ("it gave no answer that can be read at {job}, but {said}", ""),
        ("它在执行 {job} 时的回答无法读取：{said}", ""),
    ),
    "E-PEER-SILENT": Message(
        ("it gave no answer at {job} within {seconds} seconds", ""),
        ("它在执行 {job} 时 {seconds} 秒内没有回答", ""),
    ),
    "E-PEER-LATE": Message(
        ("time was up before it came to {job}", "without --quick it gets the time that it needs"),
        ("轮到 {job} 之前时间已用完", "不加 --quick 则不限时间"),
    ),
}
