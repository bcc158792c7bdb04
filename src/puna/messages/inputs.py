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
    "E-EXCERPT-RANGE": Message(
        (
            "there is no excerpt from {start} to {end} of source {source}",
            "name a source by its number from 0, and characters inside its text",
        ),
        (
            "第 {source} 个来源中没有从 {start} 到 {end} 的摘录",
            "请用从 0 起的编号指明来源，并给出其文本之内的字符范围",
        ),
    ),
    "E-EXCERPT-PRIOR": Message(
        ("a prior of {value} makes no sense", "give a finite number above 0, or leave it out"),
        ("先验概率 {value} 没有意义", "请给出大于 0 的有限数，或不写"),
    ),
    "E-TOP": Message(
        ("--top is {top}, wanted 1 or more", "--top 5 shows the five best answers"),
        ("--top 是 {top}，应至少为 1", "--top 5 显示最好的五个答案"),
    ),
    "E-PASSAGE-SIZE": Message(
        (
            "passages of {size} words cannot overlap by {overlap}",
            "the overlap is at least 1 and at most a quarter of the size",
        ),
        ("{size} 词的段落不能重叠 {overlap} 词", "重叠至少为 1，至多为段落大小的四分之一"),
    ),
    "E-SYNONYMS-LINE": Message(
        (
            "{path}, line {line}, is no group of words: {text}",
            "write at least two, parted by commas, for example: US, USA, United States",
        ),
        (
            "{path} 第 {line} 行不是一组同义词：{text}",
            "请写至少两个词，用逗号隔开，例如：珠穆朗玛峰, 珠峰, Mount Everest",
        ),
    ),
    "E-SPAN-LENGTH": Message(
        ("{option} is {value}, wanted 1 or more", "--max-words 12 and --max-chars 24 are the defaults"),
        ("{option} 是 {value}，应至少为 1", "默认是 --max-words 12 和 --max-chars 24"),
    ),
    "E-MAX-NODES": Message(
        ("--max-nodes is {value}, wanted 1 or more", "leave it out for the default, or use --exact for no limit"),
        ("--max-nodes 是 {value}，应至少为 1", "不写则用默认值；--exact 不设上限"),
    ),
    "E-MAX-NODES-FEW": Message(
        ("no answer was completed with --max-nodes {value}", "give more, or leave it out for the default"),
        ("--max-nodes {value} 太少，没有得到任何完整的答案", "请调大，或不写而用默认值"),
    ),
    "E-EXACT-BUDGET": Message(
        (
            "--exact and --max-nodes exclude each other",
            "--exact searches until the answers are proven; leave one out",
        ),
        ("--exact 和 --max-nodes 不能同时使用", "--exact 会一直搜索到答案得到证明；请去掉其中一个"),
    ),
    "E-NORMALISE": Message(
        ("there is no normalisation {value}", "choose one of {known}"),
        ("没有名为 {value} 的归一化方式", "可选：{known}"),
    ),
    "E-MAX-ERROR": Message(
        ("an error rate of {value} makes no sense", "give a share between 0 and 1, such as 5% or 0.05"),
        ("错误率 {value} 没有意义", "请给出 0 到 1 之间的比例，例如 5% 或 0.05"),
    ),
    "E-MAX-ERROR-UNCALIBRATED": Message(
        ("an error rate can be kept only with a calibration", "fit one: puna calibrate ROWS.jsonl -o calib.json"),
        ("只有校准之后才能控制错误率", "请先校准：puna calibrate ROWS.jsonl -o calib.json"),
    ),
    "E-MAX-ERROR-UNREACHED": Message(
        (
            "no threshold keeps the error rate at {wanted}: the least that {rows} rows showed is {least}",
            "ask for more, use a better model, or calibrate on more rows",
        ),
        (
            "没有阈值能把错误率控制在 {wanted}：{rows} 行数据中最低是 {least}",
            "请放宽要求、换更好的模型，或用更多数据校准",
        ),
    ),
    "E-MAX-ERROR-CANDIDATES": Message(
        ("--max-error is for answers found in the text", "leave out --max-error or the candidates"),
        ("--max-error 只用于在文本中找到的答案", "请去掉 --max-error 或候选答案"),
    ),
    "E-ROWS-FEW": Message(
        ("{rows} rows are too few to calibrate on", "give at least {fewest}, better some hundreds"),
        ("{rows} 行数据太少，无法校准", "请至少提供 {fewest} 行，最好几百行"),
    ),
    "E-CALIBRATION-FILE": Message(
        ("{path} is no calibration of this version", "make it anew: puna calibrate ROWS.jsonl -o calib.json"),
        ("{path} 不是本版本的校准文件", "请重新生成：puna calibrate ROWS.jsonl -o calib.json"),
    ),
    "E-CALIBRATION-MODEL": Message(
        ("the calibration is for {fitted}, not for {model}", "calibrate this model: puna calibrate ROWS.jsonl"),
        ("校准文件属于 {fitted}，不是 {model}", "请为这个模型校准：puna calibrate ROWS.jsonl"),
    ),
    "E-CALIBRATION-NORMALISE": Message(
        ("the calibration is for --normalise {fitted}, not {value}", "use the same, or calibrate anew"),
        ("校准文件用的是 --normalise {fitted}，不是 {value}", "请保持一致，或重新校准"),
    ),
    "E-DEVICE-UNKNOWN": Message(
        ("there is no kind of device {device}", "use --device cpu, cuda or cuda:N, or leave it out"),
        ("没有名为 {device} 的设备类型", "请用 --device cpu、cuda 或 cuda:N，或者不写"),
    ),
    "E-DEVICE-MISSING": Message(
        (
            "torch finds no device {device} here, only {known}",
            "leave --device out, or install the driver and torch with CUDA",
        ),
        ("torch 在这里找不到设备 {device}，只有 {known}", "请不写 --device，或安装显卡驱动和带 CUDA 的 torch"),
    ),
    "E-DEVICE-MEMORY": Message(
        ("the GPU has too little free memory", "end what else uses it, use a smaller model, or --device cpu"),
        ("GPU 的空闲显存不够", "请结束占用它的其他程序，换用更小的模型，或加上 --device cpu"),
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
