"""Sentences of labelled rows and of measuring with them."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-DATA-FOLDER": Message(
        (
            "{name} is needed, and no folder of data sets is named",
            "name it in the environment variable PUNA_DATA",
        ),
        ("需要 {name}，但没有指定数据文件夹", "请在环境变量 PUNA_DATA 中指定"),
    ),
    "E-ROWS-JSON": Message(
        (
            "{path}, line {line}, is not JSON from column {column} on",
            "write one JSON object a line, without line breaks inside it",
        ),
        ("{path} 第 {line} 行从第 {column} 列起不是 JSON", "请每行写一个 JSON 对象，对象内部不要换行"),
    ),
    "E-ROWS-OBJECT": Message(
        ("{path}, line {line}, is JSON but no object", "write one JSON object a line, in braces"),
        ("{path} 第 {line} 行是 JSON，但不是对象", "请每行写一个带花括号的 JSON 对象"),
    ),
    "E-ROWS-FIELD": Message(
        ("{path}, line {line}, lacks the field {field}", "add it; the command's --help names the fields"),
        ("{path} 第 {line} 行缺少字段 {field}", "请补上；命令的 --help 列出了各个字段"),
    ),
    "E-ROWS-TYPE": Message(
        ("{path}, line {line}: {field} is not of the JSON type {wanted}", "the command's --help shows a row"),
        ("{path} 第 {line} 行：{field} 不是 JSON 类型 {wanted}", "命令的 --help 里有一行示例"),
    ),
    "E-ROWS-BLANK": Message(
        ("{path}, line {line}: {field} is blank", "fill it in, or leave the row out"),
        ("{path} 第 {line} 行：{field} 是空白的", "请填写，或去掉这一行"),
    ),
    "E-ROWS-UNICODE": Message(
        (
            "{path}, line {line}, is not Unicode text in UTF-8",
            "convert the file, for example with iconv -f gb18030 -t utf-8",
        ),
        ("{path} 第 {line} 行不是 UTF-8 编码的文本", "请转换文件，例如用 iconv -f gb18030 -t utf-8"),
    ),
    "E-ROWS-DAMAGED": Message(
        ("{path} is cut off or damaged inside", "fetch or pack the file again; gzip -t tests it"),
        ("{path} 不完整或内部已损坏", "请重新获取或压缩该文件；gzip -t 可以检查"),
    ),
    "E-ROWS-NONE": Message(
        ("{path} holds no rows", "write one JSON object a line"),
        ("{path} 里没有任何数据行", "请每行写一个 JSON 对象"),
    ),
    "E-ROWS-START": Message(
        (
            "{path}, line {line}: the answer {answer} does not stand at {start} in the context",
            "count code points from 0, or leave start out",
        ),
        (
            "{path} 第 {line} 行：答案 {answer} 不在原文的第 {start} 个字符处",
            "请从 0 起按字符（码点）计数，或不写 start",
        ),
    ),
    "E-ROWS-UNANSWERABLE": Message(
        (
            "{path}, line {line}: unanswerable and answers contradict each other",
            "a row with answers is answerable, one without any is not",
        ),
        ("{path} 第 {line} 行：unanswerable 与 answers 相互矛盾", "有答案的行是可回答的，没有答案的行才不可回答"),
    ),
    "E-CHOICE-FEW": Message(
        (
            "{path}, line {line}: candidates has {count} entries, wanted 2 or more",
            "name every answer to choose among",
        ),
        ("{path} 第 {line} 行：candidates 只有 {count} 项，至少要有 2 项", "请列出所有可选的答案"),
    ),
    "E-CHOICE-INDEX": Message(
        ("{path}, line {line}: answer_index is {index}, wanted 0 to {last}", "count the candidates from 0"),
        ("{path} 第 {line} 行：answer_index 是 {index}，应在 0 到 {last} 之间", "候选答案从 0 开始数"),
    ),
    "E-OUTPUT-WRITE": Message(
        ("{path} cannot be written: {reason}", "name a file in a folder where you may write"),
        ("无法写入 {path}：{reason}", "请指定一个您有写入权限的文件夹中的文件"),
    ),
    "E-OUTPUT-OTHER": Message(
        ("{path}, line {line}, is no record of this command", "name a new file with --output"),
        ("{path} 第 {line} 行不是本命令写的记录", "请用 --output 指定一个新文件"),
    ),
    "E-OUTPUT-ROWS": Message(
        (
            "{path} holds {count} record(s) of other rows",
            "give the rows, --limit and --seed that it was begun with (a larger --limit is fine), or a new --output",
        ),
        (
            "{path} 里有 {count} 条记录属于别的数据行",
            "请使用开始时的数据行、--limit 和 --seed（--limit 可以更大），或用 --output 指定新文件",
        ),
    ),
    "E-OUTPUT-MODEL": Message(
        ("{path} holds answers of the model {found}, not of {model}", "name a new file with --output"),
        ("{path} 里是模型 {found} 的答案，不是 {model} 的", "请用 --output 指定一个新文件"),
    ),
}
