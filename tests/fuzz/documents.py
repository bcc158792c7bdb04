"""Small sound documents of every kind that Puna reads by itself. PDFs are PDFium's, in a process of their own."""

from tests.library.files import WORD, book, word

_TABLE = "<w:tbl><w:tr><w:tc>{0}</w:tc><w:tc>{0}</w:tc></w:tr></w:tbl>".format(
    "<w:p><w:r><w:t>cell</w:t></w:r></w:p>"
)
_STYLES = (
    f'<w:styles xmlns:w="{WORD}"><w:style w:styleId="a"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:styleId="b"><w:basedOn w:val="a"/></w:style></w:styles>'
)
_PAGE = (
    "<!DOCTYPE html><html><head><meta charset='utf-8'><title>A &amp; B</title><style>p{}</style></head><body>"
    "<h1>One</h1><p>Two <b>three</b>\n &#20013;&eacute;<ul><li>four<li hidden>no</ul><pre> x\n  y</pre>"
    "<table><caption>c</caption><tr><th>m<td>n</table><script>if (a < b) '</p>'</script></body></html>"
)
DOCUMENTS: dict[str, bytes] = {
    "given.txt": "One line.\n\nAnother.\r\n\r\n中文。\n".encode(),
    "given.text": "青藏高原上的羊驼，它们住在这里。\n".encode("gb18030"),
    "given.md": (
        b"---\ntitle: x\n---\n# One\n\ntext\n> quoted\n\n- a\n- b\n\n```py\n# x\n```\n\n|a|b|\n|-|-|\n|1|2|\n\nTwo\n===\n"
    ),
    "given.html": _PAGE.encode(),
    "given.htm": _PAGE.encode("utf-16"),
    "given.csv": '名,"b\nc"\n1,"x ""y"""\n'.encode(),
    "given.jsonl": b'{"a": "b\\u4e2d\\n", "c": [1, "d"]}\n{"a": ""}\n',
    "given.docx": word(
        f'<w:p><w:pPr><w:pStyle w:val="b"/></w:pPr><w:r><w:t>Head</w:t></w:r></w:p>{_TABLE}'
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p>",
        styles=_STYLES,
    ),
    "given.epub": book({"a.xhtml": _PAGE, "b.xhtml": "<p>more</p>"}),
}
