"""Sentences of libraries."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-LIBRARY-MISSING": Message(
        ("there is no library in {where}", "make one: puna index FOLDER --library {where}"),
        ("{where} 中没有文档库", "请先建立：puna index 文件夹 --library {where}"),
    ),
    "E-LIBRARY-NO-FOLDER": Message(
        ("{where} is a file, and a library is a folder", "name another place with --library"),
        ("{where} 是文件，而文档库是文件夹", "请用 --library 指定其他位置"),
    ),
    "E-LIBRARY-FOREIGN": Message(
        ("{path} is a database of another program", "name another folder with --library"),
        ("{path} 是其他程序的数据库", "请用 --library 指定其他文件夹"),
    ),
    "E-LIBRARY-NEWER": Message(
        ("the library {where} is of version {version}; this Puna knows up to {known}", "install a newer Puna"),
        ("文档库 {where} 的版本为 {version}；此 Puna 只认识到 {known}", "请安装更新的 Puna"),
    ),
    "E-LIBRARY-DAMAGED": Message(
        (
            "{path} is no library, or is damaged: {reason}",
            "put a backup back, or remove it and index the files again; puna index --check says more",
        ),
        ("{path} 不是文档库，或已损坏：{reason}", "请恢复备份，或删除后重新索引；puna index --check 可查看详情"),
    ),
    "E-LIBRARY-FILE": Message(
        ("the library {path} cannot be read or written: {reason}", "check space and permissions there"),
        ("文档库 {path} 无法读写：{reason}", "请检查那里的空间和权限"),
    ),
    "E-LIBRARY-BUSY": Message(
        ("another program has kept {path} locked for a minute", "try again when it has ended"),
        ("另一个程序锁定 {path} 已有一分钟", "请等它结束后再试"),
    ),
    "E-LIBRARY-SEGMENTATION": Message(
        (
            "the library {where} was indexed by a version that cuts text into words in another way",
            "bring its index up to date: puna index FOLDER --library {where}",
        ),
        ("文档库 {where} 由分词方式不同的版本建立", "请更新索引：puna index 文件夹 --library {where}"),
    ),
    "E-LIBRARY-NO-DOCUMENT": Message(
        ("the library {where} holds no document {document} any more", "ask again"),
        ("文档库 {where} 中已没有文档 {document}", "请重新提问"),
    ),
    "E-LIBRARY-VECTORS": Message(
        (
            "the vectors given are not one finite row for each passage, all as long as those of the library",
            "use the model that the library was indexed with",
        ),
        ("给出的向量不是每段一行的有限数值，或与库中向量的维数不同", "请使用建立文档库时所用的模型"),
    ),
    "E-LIBRARY-FTS5": Message(
        (
            "this Python's SQLite has no full-text search (FTS5)",
            "use a Python whose SQLite has it, such as python.org's",
        ),
        ("此 Python 的 SQLite 没有全文检索（FTS5）", "请换用带有 FTS5 的 Python，例如 python.org 的安装包"),
    ),
    "E-LIBRARY-SERVER": Message(
        (
            "the library {where} cannot be used: {reason}",
            "check the address, the server and what the user may do there",
        ),
        ("无法使用文档库 {where}：{reason}", "请检查地址、服务器以及该用户的权限"),
    ),
    "E-LIBRARY-POSTGRES": Message(
        ("a library on PostgreSQL needs psycopg, which is not installed", "install it: pip install 'puna[docs]'"),
        ("使用 PostgreSQL 上的文档库需要 psycopg，但没有安装", "请安装：pip install 'puna[docs]'"),
    ),
    "E-LIBRARY-MODEL": Message(
        (
            "the library has vectors of {model}, not of {given} (-: none)",
            "index with the same model, or make another library",
        ),
        ("文档库的向量来自 {model}，而不是 {given}（-：没有）", "请使用同一模型，或另建一个文档库"),
    ),
    "E-LIBRARY-EMBEDDER": Message(
        (
            "the model of vectors {model} cannot be loaded: {reason}",
            "name a sentence-embedding model or its folder",
        ),
        ("无法加载向量模型 {model}：{reason}", "请指定句向量模型的名称或文件夹"),
    ),
    "E-LIBRARY-EMBEDDER-MISSING": Message(
        (
            "vectors need sentence-transformers, which is not installed",
            "install it: pip install 'puna[vectors]'",
        ),
        ("使用向量需要 sentence-transformers，但没有安装", "请安装：pip install 'puna[vectors]'"),
    ),
    "E-LIBRARY-ADAPTER-MISSING": Message(
        (
            "{package} is not installed, which this retriever is made with",
            "install it: pip install 'puna[{extra}]'",
        ),
        ("没有安装此检索器所需的 {package}", "请安装：pip install 'puna[{extra}]'"),
    ),
}
