"""Sentences of the tools for the Model Context Protocol."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-MCP-MISSING": Message(
        ("the tools need the MCP SDK, which is not installed", "pip install 'puna[mcp]'"),
        ("这些工具需要 MCP SDK，目前没有安装", "请运行 pip install 'puna[mcp]'"),
    ),
    "E-MCP-TEXT": Message(
        (
            "no text was given, and the server was started without any",
            "give one as text, or start puna mcp FILE or puna mcp --library DIR",
        ),
        (
            "没有给出文本，服务启动时也没有带文本",
            "请用 text 给出文本，或用 puna mcp FILE、puna mcp --library DIR 启动",
        ),
    ),
    "E-MCP-SOURCE": Message(
        ("{source} does not name one text", "name one of these as source: {known}"),
        ("{source} 没有指明一份文本", "请用 source 指明其中之一：{known}"),
    ),
    "E-MCP-SPAN": Message(
        (
            "{start} to {end} is no place in a text of {characters} characters",
            "offsets count Unicode code points from 0, and the end is exclusive",
        ),
        ("{start} 到 {end} 不在 {characters} 字的文本之内", "位置按 Unicode 码点从 0 算起，不含末尾"),
    ),
}
