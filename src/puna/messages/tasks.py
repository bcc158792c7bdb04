"""Sentences of labels for texts."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-LABEL-NONE": Message(
        ("no labels were given", "name two or more: --label sports --label politics, or --labels FILE"),
        ("没有给出标签", "请至少给出两个：--label 体育 --label 政治，或用 --labels FILE"),
    ),
    "E-LABEL-ONE": Message(
        ("{label} is the only label", "name two or more, or ask whether it fits with --multi"),
        ("只有 {label} 这一个标签", "请至少给出两个，或用 --multi 判断它是否符合"),
    ),
    "E-LABELS-SENTIMENT": Message(
        (
            "with --sentiment the labels are positive and negative",
            "leave out --label, --labels and --examples, or --sentiment",
        ),
        (
            "用 --sentiment 时，标签就是 positive 和 negative",
            "请去掉 --label、--labels 和 --examples，或去掉 --sentiment",
        ),
    ),
    "E-LABEL-EMPTY": Message(
        ("a label has no name", "write --label NAME or --label 'NAME: what it means'"),
        ("有一个标签没有名称", "请写 --label 名称，或 --label '名称：含义'"),
    ),
    "E-LABEL-TWICE": Message(
        ("the label {label} is given twice", "name each label once"),
        ("标签 {label} 重复了", "每个标签只写一次"),
    ),
    "E-LABEL-LONG": Message(
        (
            "the label {label} takes {tokens} tokens, more than the {limit} that this model has room for",
            "give it a shorter name, and say what it means in a description",
        ),
        ("标签 {label} 占 {tokens} 个词元，超过此模型能容纳的 {limit} 个", "请取一个短的名称，把含义写在说明里"),
    ),
    "E-LABELS-DESCRIBED": Message(
        (
            "the labels with their descriptions take more than {limit} tokens",
            "shorten or leave out descriptions; names alone may be any number",
        ),
        ("标签连同说明超过了 {limit} 个词元", "请缩短或去掉说明；只有名称时数量不限"),
    ),
    "E-LABELS-LONG": Message(
        (
            "the labels take {tokens} of the model's {limit} tokens and leave no room for a text",
            "take shorter labels, or a model with a longer context",
        ),
        ("模型共 {limit} 个词元，标签占了 {tokens} 个，容不下文本", "请缩短标签，或换用上下文更长的模型"),
    ),
    "E-EXAMPLES-LONG": Message(
        (
            "labels and examples take {tokens} of the model's {limit} tokens and leave no room for a text",
            "give fewer examples, or learn from them all with puna train classify",
        ),
        (
            "模型共 {limit} 个词元，标签和示例占了 {tokens} 个，容不下文本",
            "请减少示例，或用 puna train classify 从全部示例中学习",
        ),
    ),
    "E-EXAMPLE-EMPTY": Message(
        ("example {number} has no text", "write each example as a text with its label"),
        ("第 {number} 个示例没有文本", "每个示例都要有文本和标签"),
    ),
    "E-EXAMPLE-LABEL": Message(
        (
            "example {number} has the label {label}, which is none of those given",
            "add it with --label, or correct it",
        ),
        ("第 {number} 个示例的标签 {label} 不在给出的标签之中", "请用 --label 加上它，或改正示例"),
    ),
    "E-EXAMPLE-MANY": Message(
        ("example {number} has {count} labels, wanted one", "give each example one label, or use --multi"),
        ("第 {number} 个示例有 {count} 个标签，应为一个", "每个示例写一个标签，或使用 --multi"),
    ),
    "E-THRESHOLD": Message(
        ("the threshold is {value}, wanted 0 to 1", "leave it out for 0.5"),
        ("阈值是 {value}，应在 0 到 1 之间", "不写则为 0.5"),
    ),
    "E-TEXTS-BOTH": Message(
        ("a text and --file are given at once", "give one of them"),
        ("同时给出了文本和 --file", "请只给其中一个"),
    ),
    "E-TEXTS-NONE": Message(
        ("no text was given", "write it in quotes, - for standard input, or --file FILE for many"),
        ("没有给出文本", "请写在引号里，用 - 从标准输入读取，或用 --file FILE 处理多条"),
    ),
    "E-TEXTS-OUTPUT": Message(
        ("-o is for the texts of a --file", "leave it out, or give the texts with --file"),
        ("-o 只用于 --file 里的文本", "请去掉它，或用 --file 给出文本"),
    ),
    "E-TEXTS-KIND": Message(
        (
            "{path} is none of .txt, .csv and .jsonl",
            "name it so: a text a line, a table, or one JSON object a line",
        ),
        ("{path} 不是 .txt、.csv 或 .jsonl", "请按内容命名：每行一条文本、表格，或每行一个 JSON 对象"),
    ),
    "E-TEXTS-COLUMN": Message(
        ("{path} has no column {column}, only {known}", "name the texts' column with --column"),
        ("{path} 没有 {column} 列，只有 {known}", "请用 --column 指明文本所在的列"),
    ),
    "E-TEXTS-QUOTES": Message(
        ("{path}, line {line}, is no CSV: {reason}", "put a text with commas, quotes or line breaks in quotes"),
        ("{path} 第 {line} 行不是 CSV：{reason}", "含逗号、引号或换行的文本要放在引号里"),
    ),
    "E-TEXTS-CELLS": Message(
        ("{path}, line {line}, has {found} cells, wanted {wanted}", "put a text with commas in quotes"),
        ("{path} 第 {line} 行有 {found} 格，应为 {wanted} 格", "含逗号的文本要放在引号里"),
    ),
    "E-ROWS-LABEL": Message(
        (
            "{path}, line {line}: the label {label} is none of those given",
            "add it with --label, or correct the row",
        ),
        ("{path} 第 {line} 行：标签 {label} 不在给出的标签之中", "请用 --label 加上它，或改正这一行"),
    ),
    "E-PLOT-MISSING": Message(
        ("Matplotlib is not installed, which --plot needs", "pip install matplotlib"),
        ("没有安装 --plot 所需的 Matplotlib", "请 pip install matplotlib"),
    ),
}
