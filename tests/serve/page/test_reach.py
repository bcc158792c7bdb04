"""For everybody: keyboard, screen readers, phones, dark mode, two languages."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.serve.page.steps import ANSWER, OUTSIDE, QUESTION, TEXT, answered, ask

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def violations(page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe(visit, language: str, options: dict) -> None:
    page = visit(f"?lang={language}", **options)
    assert violations(page) == []
    for summary in page.locator("summary").all():
        summary.click()
    ask(page)
    page.locator(".choice").nth(1).click()
    assert violations(page) == []
    page.locator("#edit").click()
    ask(page, OUTSIDE, text=None)
    page.locator("#question").fill("")
    page.locator("#ask [type=submit]").click()
    assert violations(page) == []


def test_without_a_mouse(visit) -> None:
    page = visit()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("name => document.activeElement.matches(name)", selector):
                width = page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth")
                assert width == "3px", f"the focus on {selector} cannot be seen"
                return
        raise AssertionError(f"no way to {selector}")

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    assert page.locator(".skip").bounding_box()["y"] >= 0
    tab_to("#question")
    page.keyboard.type(QUESTION)
    tab_to("#text")
    page.keyboard.insert_text(TEXT)
    page.keyboard.press("Shift+Tab")
    page.locator("#question").focus()
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator("#question")).to_be_focused()  # nobody is carried away
    tab_to(".place")
    page.keyboard.press("Enter")
    expect(page.locator("#place-1")).to_be_focused()
    tab_to(".paper")
    page.locator("#question").focus()
    page.keyboard.press("n")
    assert page.locator("#question").input_value() == f"{QUESTION}n"
    tab_to(".choice:not([aria-pressed=true])")
    page.keyboard.press("Space")
    expect(page.locator(".choice[aria-pressed=true]")).to_be_focused()
    tab_to("#history summary")
    page.keyboard.press("Enter")
    tab_to(".earlier")


def test_the_verdict_is_announced_once(visit) -> None:
    page = visit()
    page.evaluate(
        """() => {
            window.announced = [];
            new MutationObserver(() => announced.push(document.querySelector("#status").textContent))
                .observe(document.querySelector("#status"), {childList: true, characterData: true, subtree: true});
        }"""
    )
    ask(page)
    page.locator(".choice").nth(1).click()
    page.locator(".place").first.click()
    announced = page.evaluate("() => announced")
    assert announced[0] == "Reading"
    assert len(announced) == 2
    assert announced[1].startswith(f"Answered: {ANSWER}.")
    assert page.locator("#status").get_attribute("role") == "status"
    assert page.locator("#status").get_attribute("aria-live") == "polite"


def test_marks_are_told_to_screen_readers(visit) -> None:
    page = visit()
    ask(page)
    heard = page.locator("#paper").aria_snapshot()
    assert f"evidence start {ANSWER} evidence end" in heard
    assert page.locator("#paper mark").text_content() == ANSWER  # the text itself stays as it is
    selected = (
        page.locator("#paper .line")
        .nth(1)
        .evaluate(
            """line => {
            getSelection().selectAllChildren(line);
            return getSelection().toString();
        }"""
        )
    )
    assert selected == TEXT.split("\n")[1]


def test_on_a_phone(visit) -> None:
    page = visit(**PHONE)
    ask(page, text=TEXT + "word " * 2000)

    def across() -> int:
        return page.evaluate("() => document.documentElement.scrollWidth - innerWidth")

    assert across() <= 0
    answer, pane = page.locator("#result").bounding_box(), page.locator(".right").bounding_box()
    assert pane["y"] >= answer["y"] + answer["height"]
    page.locator(".place").first.click()
    expect(page.locator("#paper mark.current")).to_be_in_viewport()
    page.locator("#back").click()
    expect(page.locator("#verdict")).to_be_in_viewport()
    expect(page.locator("#result")).to_be_focused()
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("#edit").click()
    for target in page.locator("button:visible, select:visible, summary:visible, .inline:visible, .more a").all():
        box = target.bounding_box()
        assert box["height"] >= 44, target.inner_text()
        assert box["width"] >= 44, target.inner_text()
    assert across() <= 0


def test_wide_screens_have_the_text_beside_the_answer(visit) -> None:
    page = visit()
    ask(page, text="Nothing here.\n" * 300 + TEXT)
    answer, pane = page.locator("#result").bounding_box(), page.locator(".right").bounding_box()
    assert pane["x"] >= answer["x"] + answer["width"]
    expect(page.locator("#paper mark.current")).to_be_in_viewport()
    assert page.locator("#back").is_hidden()
    assert page.evaluate("() => scrollY") == 0  # the pane has scrolled, not the page


def test_reduced_motion(visit, service) -> None:
    page = visit(reduced_motion="reduce")
    service.hold.clear()
    page.locator("#text").fill(TEXT)
    page.locator("#question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#working")).to_be_visible()
    assert page.locator("#working").evaluate("bar => bar.getAnimations().length") == 0
    service.hold.set()
    answered(page)


def test_the_language_of_the_interface(visit) -> None:
    page = visit("", locale="zh-CN")
    expect(page.locator("[data-word=question]")).to_have_text("问题")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    ask(page)
    assert page.locator("#verdict").inner_text() == "找到答案"
    for quote in ("#result blockquote", "#result .answer", "#paper"):
        assert page.locator(quote).first.get_attribute("lang") == "en"
    page.locator("[data-language=en]").click()
    expect(page.locator("#verdict")).to_have_text("Answered")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator(".answer").inner_text() == ANSWER
    again = visit("", context=page.context)
    expect(again.locator("[data-word=question]")).to_have_text("Question")  # the choice is kept
    asked = visit("?lang=zh", context=page.context)
    expect(asked.locator("[data-word=question]")).to_have_text("问题")  # the address goes before


def test_chinese_throughout(visit, service) -> None:
    page = visit("?lang=zh")
    page.locator("#example").click()
    page.locator("#ask [type=submit]").click()
    answered(page, "世界上最高的山峰是什么？")
    assert page.locator("#result .answer").inner_text() == "珠穆朗玛峰"
    assert page.locator("#paper").get_attribute("lang") == "zh"
    assert page.locator("#paper mark").first.inner_text().startswith("珠穆朗玛峰")
