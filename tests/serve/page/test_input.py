"""What goes in: input methods, files and their encodings, keys, and everything that can be wrong."""

import json

import pytest
from playwright.sync_api import expect

from tests.serve.page.steps import ANSWER, QUESTION, TEXT, answered, ask

CHINESE = "珠穆朗玛峰是世界上最高的山峰，海拔8848米。\n"


def enter(page, **event) -> None:
    """Send the question's field an Enter as an input method or a keyboard does."""
    page.locator("#question").evaluate(
        """(field, more) => field.dispatchEvent(new KeyboardEvent("keydown",
            {key: "Enter", code: "Enter", bubbles: true, cancelable: true, ...more}))""",
        event,
    )


def test_enter_asks_but_not_while_an_input_method_composes(visit, service) -> None:
    page = visit()
    page.locator("#text").fill(TEXT)
    page.locator("#question").fill(QUESTION)
    enter(page, isComposing=True, keyCode=229)
    enter(page, isComposing=True, keyCode=13)
    enter(page, isComposing=False, keyCode=229)  # Safari, as the composition ends
    enter(page, shiftKey=True, keyCode=13)
    page.locator("#candidates").evaluate("field => field.closest('details').open = true")
    assert service.requests == []
    enter(page, keyCode=13)
    answered(page)
    assert len(service.requests) == 1


def test_a_composition_of_the_browsers_own(visit, service) -> None:
    page = visit()
    page.locator("#text").fill(CHINESE)
    page.locator("#question").focus()
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "最高的山峰", "selectionStart": 5, "selectionEnd": 5})
    session.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    session.send("Input.insertText", {"text": "最高的山峰"})
    assert page.locator("#question").input_value() == "最高的山峰"
    assert service.requests == []
    page.keyboard.press("Enter")
    answered(page, "最高的山峰")
    assert page.locator("#question").input_value() == "最高的山峰"  # no line was begun


def pick(page, name: str, content: bytes) -> None:
    page.locator("#picker").set_input_files([{"name": name, "mimeType": "", "buffer": content}])


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "UTF-16LE"), ("gb18030", "GB18030")]
)
def test_files_in_other_encodings(visit, service, encoding: str, said: str) -> None:
    page = visit()
    pick(page, "山.txt", CHINESE.encode(encoding))
    expect(page.locator("#files li")).to_have_count(1)
    if said:
        expect(page.locator("#problem")).to_contain_text(said)
        expect(page.locator("#files select")).to_have_value(said.lower())
    else:
        assert page.locator("#problem").is_hidden()
        assert page.locator("#files select").count() == 0
    ask(page, "世界上最高的山峰是什么？", text=None)
    assert service.requests[0]["texts"] == [{"name": "山.txt", "text": CHINESE}]


def test_the_encoding_can_be_chosen(visit, service) -> None:
    page = visit()
    pick(page, "a.txt", "Halvorsen fra Tromsø ledet den.".encode("latin-1"))
    page.locator("#files select").select_option("windows-1252")
    ask(page, text=None)
    assert service.requests[0]["texts"][0]["text"] == "Halvorsen fra Tromsø ledet den."


def test_dropped_files_and_equal_names(visit, service) -> None:
    page = visit()
    page.evaluate(
        """text => {
            const dropped = new DataTransfer();
            for (const name of ["a.txt", "a.txt"]) dropped.items.add(new File([text], name));
            document.querySelector("#text").dispatchEvent(
                new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true}));
        }""",
        TEXT,
    )
    expect(page.locator("#files li")).to_have_count(2)
    ask(page, text=None)
    assert [each["name"] for each in service.requests[0]["texts"]] == ["a.txt", "a.txt (2)"]
    page.locator("#edit").click()
    page.locator("#files button").first.click()
    ask(page, text=None)
    assert [each["name"] for each in service.requests[1]["texts"]] == ["a.txt (2)"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("report.pdf", b"%PDF-1.7 text", "report.pdf is no text file, and this service keeps no documents"),
        ("photo", b"\x89PNG\x00\x01", "photo is no text file"),
        ("none.txt", b" \n", "none.txt is empty"),
    ],
)
def test_files_that_cannot_be_read_here(visit, name: str, content: bytes, said: str) -> None:
    page = visit()
    pick(page, name, content)
    expect(page.locator("#problem")).to_contain_text(said)
    assert page.locator("#files li").count() == 0


def test_halves_of_characters(visit, service) -> None:
    page = visit()
    page.locator("#text").evaluate("field => field.value = 'a \\ud83d b. It was led by Astrid Halvorsen.'")
    ask(page, text=None)
    assert service.requests[0]["texts"][0]["text"] == "a \ufffd b. It was led by Astrid Halvorsen."
    assert page.locator("#paper mark").first.text_content() == ANSWER


def test_nothing_to_ask_about(visit, service) -> None:
    page = visit()
    page.locator("#ask [type=submit]").click()
    expect(page.locator("#problem")).to_have_text("Write a question first.")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text("Paste a text or add a file first.")
    expect(page.locator("#text")).to_be_focused()
    page.locator("[data-language=zh]").click()
    expect(page.locator("#problem")).to_have_text("请先粘贴文本或添加文件。")
    assert service.requests == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_services_own_words_for_an_error(visit, language: str) -> None:
    page = visit(f"?lang={language}", refused=True)
    page.locator("#text").fill("…")
    page.locator("#question").fill("?")
    page.locator("#ask [type=submit]").click()
    problem = page.locator("#problem")
    expect(problem).to_contain_text("E-TEXT-NO-WORDS")
    expect(problem).to_contain_text(
        {"en": "no word that could be an answer", "zh": "没有可以作为答案的词"}[language]
    )
    expect(page.locator("#working")).to_be_hidden()


def test_busy_and_broken(visit, service) -> None:
    page = visit(refused=True)
    page.locator("#text").fill(TEXT)
    page.locator("#question").fill(QUESTION)
    service.refuse = 429
    page.locator("#ask [type=submit]").click()
    expect(page.locator("#problem")).to_have_text("The service is busy. Try again in 7 s.")
    service.refuse = None
    page.locator("#ask [type=submit]").click()
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (None, "The service does not answer. Is puna serve still running?"),
        ({"status": 200, "body": "gone"}, "The service could not answer (200)."),
        ({"status": 502, "body": "<h1>Bad gateway</h1>"}, "The service could not answer (502)."),
    ],
)
def test_a_service_that_does_not_answer(visit, reply: dict | None, said: str) -> None:
    page = visit(refused=True)
    page.locator("#text").fill(TEXT)
    page.locator("#question").fill(QUESTION)
    page.route("**/v1/answers", lambda route: route.fulfill(**reply) if reply else route.abort())
    page.locator("#ask [type=submit]").click()
    expect(page.locator("#problem")).to_have_text(said)
    expect(page.locator("#result")).to_be_hidden()


def test_stop(visit, service) -> None:
    page = visit()
    page.locator("#text").fill(TEXT)
    page.locator("#question").fill(QUESTION)
    service.hold.clear()
    page.locator("#ask [type=submit]").click()
    expect(page.locator("#working")).to_be_visible()
    page.locator("#stop").click()
    expect(page.locator("#working")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("Stopped. Nothing was answered.")
    service.hold.set()
    ask(page)
    assert page.locator("#paper mark").all_text_contents() == [ANSWER]


def test_a_key(visit, service) -> None:
    service.key = "a long and secret key"
    page = visit(refused=True)
    expect(page.locator("#unlock")).to_be_visible()
    page.locator("#key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("this needs a key")
    page.locator("#key").fill(service.key)
    page.keyboard.press("Enter")
    expect(page.locator("#unlock")).to_be_hidden()
    ask(page)
    assert service.key not in json.dumps(page.evaluate("() => ({...localStorage})"))
    assert service.key not in page.content()
