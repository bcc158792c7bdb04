"""A document, a name, a question or a history full of markup is shown as text, and runs nothing."""

import json

import pytest
from playwright.sync_api import expect

from tests.serve.page.steps import ask, shown

PAYLOADS = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg onload=window.hacked=1><a href='javascript:window.hacked=1'>x</a></svg>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "</textarea></pre></mark><style>*{display:none}</style>",
    "&lt;b&gt; &amp; <!-- {{7*7}} ${7*7} [x](javascript:window.hacked=1) ![](http://example.com/a.png)",
    '"><button autofocus onfocus=window.hacked=1>',
    "<object data='data:text/html,<script>parent.hacked=1</script>'></object><base href=//example.com>",
)
HIDDEN = "Ann led \u202egnihtyreve\u202c and \u2066all\u2069 \x07 \x1b[2J of it."


def harmless(page) -> None:
    assert page.evaluate("() => window.hacked") is None
    strange = "script:not([src='main.js']), iframe, object, style, base, img:not([src='favicon.svg'])"
    assert page.locator(strange).count() == 0
    assert page.locator("main").is_visible()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markup_in_documents_names_questions_and_candidates(visit, payload: str) -> None:
    page = visit()
    text = f"{payload} was led by {payload}\nThe walk was led by Ann Lee."
    name = payload.replace("/", "∕")
    page.locator("#picker").set_input_files([{"name": name, "mimeType": "text/plain", "buffer": text.encode()}])
    expect(page.locator("#files .name")).to_have_text(name)
    ask(page, f"Who led {payload}?", text=None, candidates=f"{payload}\nAnn Lee")
    assert shown(page) == text
    assert payload in page.locator(".ranked").text_content()
    assert page.locator("#result .asked").text_content() == f"Who led {payload}?"
    for choice in range(2):
        page.locator(".choice").nth(choice).click()
        assert name in page.locator("#result").text_content()
    harmless(page)
    page.reload()
    expect(page.locator("#result .asked")).to_have_text(f"Who led {payload}?")
    page.locator("#history summary").click()
    assert payload in page.locator("#earlier").text_content()
    harmless(page)


def test_what_was_put_into_the_history(visit) -> None:
    page = visit()
    ask(page)
    kept = json.loads(page.evaluate("() => localStorage.getItem('puna.history')"))
    entry = kept["entries"][0]
    entry["answers"]["question"] = entry["answers"]["model"] = PAYLOADS[0]
    entry["answers"]["answers"][0]["text"] = PAYLOADS[1]
    entry["answers"]["answers"][0]["evidence"][0]["sentence"]["text"] = PAYLOADS[2]
    page.evaluate("kept => localStorage.setItem('puna.history', kept)", json.dumps(kept))
    page.reload()
    expect(page.locator("#result .asked")).to_have_text(PAYLOADS[0])
    assert PAYLOADS[1] in page.locator("#result").text_content()
    harmless(page)
    page.evaluate("() => localStorage.setItem('puna.history', '{\"entries\": 7')")
    page.reload()
    expect(page.locator("#question")).to_be_visible()
    harmless(page)


def test_markup_in_an_error(visit) -> None:
    page = visit(refused=True)
    body = {"error": {"message": PAYLOADS[0], "hint": PAYLOADS[1], "code": PAYLOADS[2]}}
    page.route("**/v1/answers", lambda route: route.fulfill(status=400, json=body))
    page.locator("#text").fill("Ann led it.")
    page.locator("#question").fill("Who?")
    page.keyboard.press("Enter")
    for payload in PAYLOADS[:3]:
        expect(page.locator("#problem")).to_contain_text(payload)
    harmless(page)


def test_directions_stay_within_their_line(visit) -> None:
    page = visit()
    ask(page, "Who led it?", HIDDEN)
    assert shown(page) == HIDDEN
    for each in ("#paper .line", "#result blockquote"):
        assert page.locator(each).first.get_attribute("dir") == "auto"
    harmless(page)
