"""Sentences of what the user gives."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-QUESTION-EMPTY": Message(
        ("the question is empty", "write the question as the first argument, in quotes"),
        ("问题是空的", "请把问题放在引号里，作为第一个参数"),
    ),
    "E-QUESTION-LONG": Message(
        (
            "the question takes {tokens} tokens, more than the {limit} that the model has room for",
            "ask in fewer words",
        ),
        ("问题占 {tokens} 个词元，超过模型能容纳的 {limit} 个", "请缩短问题"),
    ),
    "E-TEXT-EMPTY": Message(
        ("there is nothing to read in {name}", "give text with --text, --file or - for standard input"),
        ("{name} 里没有可读的内容", "请用 --text、--file 提供文本，或用 - 从标准输入读取"),
    ),
    "E-TEXT-MISSING": Message(
        ("no text was given", "use --text, --file or - for standard input; puna rank needs no text"),
        ("没有给出文本", "请用 --text、--file，或用 - 从标准输入读取；puna rank 不需要文本"),
    ),
    "E-TEXT-NO-WORDS": Message(
        ("the text has no word that could be an answer", "check the text, or name answers with --candidate"),
        ("文本中没有可以作为答案的词", "请检查文本，或用 --candidate 给出候选答案"),
    ),
    "E-CANDIDATE-NONE": Message(
        ("the list of candidates is empty", "name at least one, or leave candidates out to search the text"),
        ("候选答案列表是空的", "请至少给出一个，或不给候选以搜索全文"),
    ),
    "E-CANDIDATE-EMPTY": Message(
        ("a candidate is empty", "every --candidate needs a text"),
        ("有一个候选答案是空的", "每个 --candidate 都要有内容"),
    ),
    "E-CANDIDATE-TWICE": Message(
        ("the candidate {candidate} is given twice", "name each candidate once"),
        ("候选答案 {candidate} 重复了", "每个候选答案只写一次"),
    ),
    "E-TOP": Message(
        ("--top is {top}, wanted 1 or more", "--top 5 shows the five best answers"),
        ("--top 是 {top}，应至少为 1", "--top 5 显示最好的五个答案"),
    ),
    "E-FILE-READ": Message(
        ("{path} cannot be read: {reason}", "check that it is a file and that you may read it"),
        ("无法读取 {path}：{reason}", "请检查它是不是文件，以及是否有读取权限"),
    ),
    "E-ENCODING": Message(
        (
            "{path} is not {encoding}: byte {byte} (line {line}) does not fit",
            "name its encoding, for example --encoding gb18030",
        ),
        (
            "{path} 不是 {encoding} 编码：第 {byte} 个字节（第 {line} 行）不符",
            "请指明编码，例如 --encoding gb18030",
        ),
    ),
    "E-ENCODING-UNKNOWN": Message(
        ("there is no encoding called {encoding}", "try utf-8, gb18030, big5 or latin-1"),
        ("没有名为 {encoding} 的编码", "可以试 utf-8、gb18030、big5 或 latin-1"),
    ),
    "E-FILE-MISSING": Message(
        ("there is no file {path}", "check the path; relative paths start at {cwd}"),
        ("找不到文件 {path}", "请检查路径；相对路径从 {cwd} 算起"),
    ),
}
