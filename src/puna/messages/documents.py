"""Sentences of documents that cannot be read, or are left out."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-DOCUMENT-UNKNOWN": Message(
        (
            "{path} is of no kind that is read",
            "these are: .txt, .md, .html, .pdf, .docx, .epub, .csv, .tsv and .jsonl",
        ),
        ("{path} 不是可以读取的类型", "可读取：.txt、.md、.html、.pdf、.docx、.epub、.csv、.tsv 和 .jsonl"),
    ),
    "E-DOCUMENT-EMPTY": Message(
        ("{path} holds no text", "pages that are pictures need text recognition (OCR) first"),
        ("{path} 里没有文字", "如果页面是图片，请先做文字识别（OCR）"),
    ),
    "E-DOCUMENT-DAMAGED": Message(
        ("{path} is damaged: {reason}", "open it in the program that made it, and save it anew"),
        ("{path} 已损坏：{reason}", "请用制作它的程序打开并重新保存"),
    ),
    "E-DOCUMENT-ENCRYPTED": Message(
        ("{path} is encrypted", "save a copy without a password"),
        ("{path} 已加密", "请另存一份没有密码的副本"),
    ),
    "E-DOCUMENT-ENCODING": Message(
        (
            "{path} is neither UTF-8 nor UTF-16 with a byte order mark nor GB18030: byte {byte} does not fit",
            "save it as UTF-8",
        ),
        ("{path} 不是 UTF-8、带字节顺序标记的 UTF-16 或 GB18030：第 {byte} 个字节不符", "请把它存为 UTF-8"),
    ),
    "E-DOCUMENT-SIZE": Message(
        ("{path} has {size} MiB, more than the {limit} MiB that are read", "split it into several files"),
        ("{path} 有 {size} MiB，超过可读取的 {limit} MiB", "请把它分成几个文件"),
    ),
    "E-DOCUMENT-LONG": Message(
        ("{path} holds more than {limit} characters", "split it into several files"),
        ("{path} 的字符超过 {limit} 个", "请把它分成几个文件"),
    ),
    "E-DOCUMENT-PIECES": Message(
        ("{path} holds more than {limit} paragraphs, rows or other pieces", "split it into several files"),
        ("{path} 的段落、行或其他片段超过 {limit} 个", "请把它分成几个文件"),
    ),
    "E-DOCUMENT-PAGES": Message(
        ("{path} has {pages} pages, more than the {limit} that are read", "split it into several files"),
        ("{path} 有 {pages} 页，超过可读取的 {limit} 页", "请把它分成几个文件"),
    ),
    "E-DOCUMENT-ARCHIVE": Message(
        (
            "{path} would unpack to too much: {reason}",
            "if you trust it, open it in the program that made it, and save it anew",
        ),
        ("{path} 解压后会太大：{reason}", "如果信任它，请用制作它的程序打开并重新保存"),
    ),
    "E-DOCUMENT-XML": Message(
        (
            "{path} has XML with declarations of its own, which can be made to grow without end",
            "if you trust it, open it in the program that made it, and save it anew",
        ),
        ("{path} 的 XML 带有自己的声明，可能无限膨胀", "如果信任它，请用制作它的程序打开并重新保存"),
    ),
    "E-DOCUMENT-SLOW": Message(
        ("{path} was not read within {seconds} s", "split it into several files, or save it anew"),
        ("{path} 在 {seconds} 秒内没有读完", "请把它分成几个文件，或重新保存"),
    ),
    "E-DOCUMENT-MEMORY": Message(
        ("{path} takes more than {limit} MiB of memory to read", "split it into several files, or save it anew"),
        ("读取 {path} 需要超过 {limit} MiB 的内存", "请把它分成几个文件，或重新保存"),
    ),
    "E-DOCUMENT-CRASH": Message(
        ("{path} broke the process that read it ({reason})", "it is damaged or hostile; save it anew"),
        ("{path} 使读取它的进程崩溃（{reason}）", "文件已损坏或有恶意；请重新保存"),
    ),
    "E-DOCUMENT-READER": Message(
        ("the process that reads documents does not start: {reason}", "install Puna anew"),
        ("读取文档的进程无法启动：{reason}", "请重新安装 Puna"),
    ),
    "E-DOCUMENT-NEEDS": Message(
        ("{path} needs {package}, which is not installed", "pip install 'puna[docs]'"),
        ("读取 {path} 需要 {package}，但没有安装", "请 pip install 'puna[docs]'"),
    ),
    "E-DOCUMENT-OUTSIDE": Message(
        ("{path} leads out of the given folders, to {target}", "give that path as well, if it is to be read"),
        ("{path} 指向所给文件夹之外的 {target}", "如果要读取，请把该路径也写上"),
    ),
    "E-DOCUMENT-NAME": Message(
        ("the name of {path} is not UTF-8", "rename it"),
        ("{path} 的名称不是 UTF-8", "请重命名"),
    ),
}
