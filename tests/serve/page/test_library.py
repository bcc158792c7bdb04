"""The page and the service as they are, with a library: documents come and go, and a click shows the place in them."""

import random
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from puna.library.parse import Parser
from puna.serve.library import Documents
from puna.serve.limits import Limits
from tests.library.files import pdf
from tests.serve.page.steps import ANSWER, OUTSIDE, QUESTION, TEXT, ask, shown
from tests.serve.page.test_hostile import PAYLOADS, harmless
from tests.serve.page.test_reach import PHONE, violations
from tests.serve.servers import Running, serving

LIMITS = Limits(memory=64 << 20, shelf=64 << 20)
ROW = "#documents .name"


@pytest.fixture
def library(started, tmp_path) -> Iterator[Running]:
    with serving(started.reader, LIMITS, documents=Documents(tmp_path / "library", create=True)) as running:
        yield running


@pytest.fixture
def open_page(visit, library: Running):
    """Open the page of the service with the library, at the library."""

    def opened(path: str = "?lang=en", **options):
        page = visit(path, at=f"{library.url}/", **options)
        page.locator("[value=library]").check()
        return page

    return opened


def drop(page, *files: tuple[str, bytes]) -> None:
    """Drop files on the page, as a hand does."""
    page.evaluate(
        """files => {
            const held = new DataTransfer();
            for (const [name, bytes] of files) held.items.add(new File([new Uint8Array(bytes)], name));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, {dataTransfer: held, bubbles: true, cancelable: true});
                document.querySelector(".right").dispatchEvent(event);
            }
        }""",
        [[name, list(content)] for name, content in files],
    )


def paper(lines: list[str]) -> bytes:
    """A PDF with a page a line."""
    return pdf([b"BT /F1 12 Tf 72 700 Td (" + line.encode() + b") Tj ET" for line in lines])


def test_drop_ask_show_delete(open_page, library: Running) -> None:
    page = open_page()
    expect(page.locator("#documents-none")).to_be_visible()
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text("The library is empty. Add a file to it first.")
    report = paper(["The ship left Bergen in May.", f"The expedition was led by {ANSWER}.", "It ended."])
    drop(page, ("report.pdf", report), ("walk.txt", b"Bob led the walk."))
    expect(page.locator(ROW)).to_have_text(["report.pdf", "walk.txt"])
    expect(page.locator("#adding")).to_have_text("2 files are in the library now")
    ask(page, text=None)
    expect(page.locator("#paper mark")).to_have_text([ANSWER])
    expect(page.locator(".page")).to_have_text(["Page 1", "Page 2", "Page 3"])
    before = page.locator("#paper mark").evaluate(
        "mark => mark.closest('.line').previousElementSibling.textContent"
    )
    assert before == "Page 2"
    expect(page.locator("#tabs [aria-pressed=true]")).to_have_text("report.pdf")
    result = page.locator("#result")
    expect(result.locator("figcaption")).to_contain_text("report.pdf, page 2, line")
    assert "The best" in result.inner_text()
    result.locator(".place").first.click()
    expect(page.locator("#place-1")).to_be_focused()
    page.get_by_role("button", name="Show all documents").click()
    row = page.locator("#documents li").first
    row.locator("button").click()
    page.locator("#documents >> text=Keep").click()
    expect(page.locator(ROW)).to_have_count(2)
    row.locator("button").click()
    page.locator("#documents >> text=Delete >> nth=-1").click()
    expect(page.locator(ROW)).to_have_text(["walk.txt"])
    listed = library.send("GET", "/v1/documents").body["data"]
    assert [each["name"] for each in listed] == ["walk.txt"]


def test_in_chinese(open_page) -> None:
    page = open_page("?lang=zh", refused=True)
    drop(page, ("山.txt", "珠穆朗玛峰是世界上最高的山峰。".encode()), ("bad.pdf", b"%PDF"))
    expect(page.locator(ROW)).to_have_text(["山.txt"])
    expect(page.locator("#problem")).to_contain_text("bad.pdf 已损坏")
    ask(page, "世界上最高的山峰是什么？", text=None)
    expect(page.locator("#paper mark").first).to_have_text("珠穆朗玛峰")
    assert "文档库" in page.locator("#result").inner_text()


def test_a_file_that_is_no_text_goes_to_the_library(visit, library: Running) -> None:
    page = visit(at=f"{library.url}/")
    expect(page.locator("[value=library]")).to_be_visible()
    drop(page, ("a.txt", TEXT.encode()))
    expect(page.locator("#files .name")).to_have_text("a.txt")
    drop(page, ("report.html", f"<p>{TEXT}</p>".encode()))
    expect(page.locator(ROW)).to_have_text("report.html")
    expect(page.locator("[value=library]")).to_be_checked()


def test_a_document_that_is_refused(open_page) -> None:
    page = open_page(refused=True)
    drop(page, ("bad.pdf", b"%PDF\0"), ("good.txt", TEXT.encode()), ("x.exe", b"MZ"))
    expect(page.locator(ROW)).to_have_text(["good.txt"])
    expect(page.locator("#problem")).to_contain_text("bad.pdf is damaged")
    expect(page.locator("#problem")).to_contain_text("(E-DOCUMENT-DAMAGED)")
    expect(page.locator("#problem")).to_contain_text("(E-DOCUMENT-UNKNOWN)")


def test_adding_takes_its_time_and_can_be_cancelled(open_page, library: Running, monkeypatch) -> None:
    gate, parse = threading.Event(), Parser.parse

    def waiting(self, path, raw=None):
        gate.wait()
        return parse(self, path, raw)

    monkeypatch.setattr(Parser, "parse", waiting)
    page = open_page()
    drop(page, ("a.txt", TEXT.encode()), ("b.txt", TEXT.encode()))
    expect(page.locator("#adding")).to_have_text("Adding a.txt, 1 s")
    expect(page.locator("#library")).to_have_attribute("aria-busy", "true")
    (task,) = library.service._adding._running
    page.locator("#unadd").click()
    expect(page.locator("#problem")).to_have_text("Cancelled: a.txt was not added.")
    expect(page.locator("#unadd")).to_be_hidden()
    page.wait_for_function("() => !document.querySelector('#library').hasAttribute('aria-busy')")
    while not task.dropped:
        page.wait_for_timeout(10)
    gate.set()
    drop(page, ("c.txt", TEXT.encode()))
    expect(page.locator(ROW)).to_have_text(["c.txt"])


def test_a_busy_service_is_waited_for(open_page, library: Running) -> None:
    page = open_page(refused=True)
    replies = []

    def busy(route) -> None:
        replies.append(route.request.method)
        if replies == ["POST"]:
            body = {"error": {"message": "busy", "hint": "", "code": "E-SERVE-BUSY"}}
            route.fulfill(status=429, json=body, headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/v1/documents", busy)
    drop(page, ("a.txt", TEXT.encode()))
    expect(page.locator(ROW)).to_have_text(["a.txt"])
    assert replies.count("POST") == 2


def test_a_very_long_document(open_page, library: Running) -> None:
    """A window of it is shown, at the place, with its own line numbers; the rest is a click away."""
    rng = random.Random(3)
    lines = [" ".join(rng.choices(["tea", "山", "rain", "🏔", "road"], k=rng.randint(0, 20))) for _ in range(60_000)]
    lines[41_000] = f"The expedition was led by {ANSWER}."
    text = "\n".join(lines)
    assert library.upload("long.txt", text).status == 201
    page = open_page()
    ask(page, text=None)
    expect(page.locator("#paper mark")).to_have_text([ANSWER])
    assert page.locator("#paper mark").evaluate("mark => mark.closest('.line').dataset.line") == "41001"
    assert page.locator("#paper .line").count() < 20_000

    def numbered() -> list[list[str]]:
        return page.locator("#paper .line").evaluate_all("all => all.map(e => [e.dataset.line, e.textContent])")

    first = numbered()
    assert all(lines[int(n) - 1] == line for n, line in first[1:-1])
    page.get_by_role("button", name="Show what comes before").click()
    page.wait_for_function(
        "line => document.querySelector('#paper .line').dataset.line < line", arg=int(first[0][0])
    )
    before = numbered()
    assert all(lines[int(n) - 1] == line for n, line in before[1:-1])
    assert int(before[-1][0]) == int(first[0][0])
    page.get_by_role("button", name="Show what comes next").click()
    page.wait_for_function(
        "line => document.querySelector('#paper .line').dataset.line > line", arg=int(before[0][0])
    )
    assert numbered()[5] == first[5]


def test_a_very_long_text_of_ones_own(visit) -> None:
    page = visit()
    text = "".join(f"Line {n} is about rain and 山 🏔.\n" for n in range(30_000))
    view, sizes = page.evaluate(
        """async text => {
            const {whole} = await import("./texts.js");
            const held = whole(text);
            const views = [held.at(null)];
            while (views.at(-1).after) views.push(held.after(views.at(-1)));
            return [held.at({utf16: [500000, 500010]}), views.map(v => [v.start, v.end, v.line, v.text.length])];
        }""",
        text,
    )
    wide = text.encode("utf-16-le")
    assert sizes[0][0] == 0
    assert sizes[-1][1] == len(wide) // 2
    for (_, end, *_), (start, *_) in pairwise(sizes):
        assert start <= end
    for start, end, line, length in sizes:
        assert (length, line) == (end - start, wide[: 2 * start].decode("utf-16-le").count("\n") + 1)
    assert view["start"] < 500_000 < view["end"]
    assert view["text"] == wide[2 * view["start"] : 2 * view["end"]].decode("utf-16-le")


def test_more_documents_than_are_listed_at_once(open_page, library: Running) -> None:
    documents = library.service.documents
    for n in range(1003):
        documents.put(f"{n:04}.txt", f"Walk {n}.".encode())
    documents.put("z.txt", TEXT.encode())
    page = open_page()
    expect(page.locator(ROW)).to_have_count(1000)
    ask(page, text=None)
    expect(page.locator("#paper mark").first).to_have_text(ANSWER)  # of one that is not listed yet
    page.locator("#edit").click()
    page.locator("#more").click()
    expect(page.locator(ROW)).to_have_count(1004)
    expect(page.locator("#more")).to_be_hidden()


def test_a_document_that_has_changed_or_gone_since(open_page, library: Running) -> None:
    library.upload("a.txt", TEXT)
    page = open_page()
    ask(page, text=None)
    address = page.url
    library.upload("a.txt", f"New. {TEXT}")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#note")).to_contain_text("has changed since it was read")
    assert page.locator("#paper mark").count() == 0
    number = library.send("GET", "/v1/documents").body["data"][0]["id"]
    library.send("DELETE", f"/v1/documents/{number}")
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#note")).to_have_text("This document is no longer in the library.")


@pytest.mark.parametrize("payload", PAYLOADS[:4])
def test_markup_in_documents_and_their_names(open_page, payload: str) -> None:
    """V46: what was uploaded is shown as text, in the list, the answer and the pane."""
    page = open_page()
    name = f"{payload.replace('/', '∕')}.txt"
    text = f"{payload}\nThe walk was led by Ann Lee {payload}."
    drop(page, (name, text.encode()))
    expect(page.locator(ROW)).to_have_text(name)
    page.locator("#documents button").click()
    page.locator("#documents >> text=Keep").click()
    ask(page, "Who led the walk?", text=None)
    expect(page.locator("#paper .line")).to_have_count(2)
    assert shown(page) == text
    assert name in page.locator("#result").text_content()
    harmless(page)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe(open_page, library: Running, language: str, options: dict) -> None:
    library.upload("report.pdf", paper([f"The expedition was led by {ANSWER}.", "It ended."]))
    page = open_page(f"?lang={language}", **options)
    expect(page.locator(ROW)).to_have_count(1)
    assert violations(page) == []
    ask(page, text=None)
    page.locator(".place").first.click()
    expect(page.locator("#paper mark")).to_have_count(1)
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0
    page.locator("#edit").click()
    page.locator("#documents button").click()
    ask(page, OUTSIDE, text=None)
    page.locator("#edit").click()
    assert violations(page) == []
