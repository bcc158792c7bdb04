"""What tests of the page do again and again."""

from playwright.sync_api import Page, expect

TEXT = (
    "The expedition left Bergen on 3 May 1921.\nIt was led by Astrid Halvorsen, a geologist from Tromsø.\n"
    "The crew of fourteen returned in October.\n"
)
QUESTION = "Who led the expedition?"
ANSWER = "Astrid Halvorsen"
OUTSIDE = "What is the price of a loaf of bread in Vienna?"


def ask(page: Page, question: str = QUESTION, text: str | None = TEXT, candidates: str = "") -> None:
    """Fill the form, ask, and wait for the answer."""
    if text is not None:
        if page.locator("#edit").is_visible():
            page.locator("#edit").click()
        page.locator("#text").fill(text)
    page.locator("#question").fill(question)
    if candidates:
        if not page.locator("#candidates").is_visible():
            page.locator("#ask summary").click()
        page.locator("#candidates").fill(candidates)
    page.locator("#ask [type=submit]").click()
    answered(page, question)


def answered(page: Page, question: str = QUESTION) -> None:
    """Wait for the answer to a question."""
    expect(page.locator("#result .asked")).to_have_text(question)
    expect(page.locator("#working")).to_be_hidden()


def shown(page: Page) -> str:
    """The document pane's text, line by line."""
    return "\n".join(page.locator("#paper .line").all_text_contents())
