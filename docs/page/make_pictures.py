"""Take the pictures of the page that the documents show: python docs/page/make_pictures.py http://127.0.0.1:8017/

Needs a running `puna serve --library NEW` with the default model, Playwright, Chromium, and fonts for English and
Chinese. What the pictures show is put into that library.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

WIDE = {"viewport": {"width": 1280, "height": 860}}
PICTURES = {
    "light": ("en", {**WIDE, "color_scheme": "light"}),
    "chinese-dark": ("zh", {**WIDE, "color_scheme": "dark"}),
    "phone": ("en", {"viewport": {"width": 390, "height": 860}, "is_mobile": True, "has_touch": True}),
    "library": ("en", {**WIDE, "color_scheme": "light"}),
    "library-chinese": ("zh", {**WIDE, "color_scheme": "light"}),
}
LETTER = """<h1>The north coast expedition</h1><p>Report to the society, winter 1921.</p>
<p>The expedition left Bergen on 3 May 1921 with the whaler Nordlys, bound for the north coast.</p>
<h1 style="break-before: page">Crew</h1><p>Fourteen people went aboard, among them a doctor and two carpenters.</p>
<p>The expedition was led by Astrid Halvorsen, a geologist who had spent six winters on Svalbard.</p>
<h1 style="break-before: page">Collections</h1><p>The crew returned in October with 900 rock samples.
They are kept in the museum of Tromsø.</p>"""
NOTES = """# Ship's notes

The Nordlys is a whaler of 180 tons. She cost the society 42,000 kroner.
Ice held the ship for nine days in July.
"""
MOUNTAIN = "珠穆朗玛峰是世界上最高的山峰，海拔8848.86米。1960年5月25日，王富洲、贡布和屈银华从北坡登顶。\n"
QUESTIONS = {"library": "Who led the expedition?", "library-chinese": "世界上最高的山峰是什么？"}


def ask(page: Page, name: str, letter: bytes) -> None:
    """Ask the page's example, or, where the picture is of a library, that."""
    if name not in QUESTIONS:
        page.locator("#example").click()
    else:
        page.locator("[value=library]").check()
        files = [("expedition.pdf", letter), ("ship.md", NOTES.encode()), ("高山.txt", MOUNTAIN.encode())]
        given = [
            {"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files
        ]
        page.locator("#picker").set_input_files(given)
        expect(page.locator("#documents .name")).to_have_count(len(files), timeout=60_000)
        page.locator("#question").fill(QUESTIONS[name])
    page.locator("#ask [type=submit]").click()
    page.locator("#verdict").wait_for()


def take(browser: Browser, address: str, folder: Path, name: str, letter: bytes) -> None:
    """Ask, and save what is then seen; of a library also what is in it."""
    language, options = PICTURES[name]
    context = browser.new_context(**options, reduced_motion="reduce")
    context.set_default_timeout(300_000)
    page = context.new_page()
    page.goto(f"{address}?lang={language}")
    page.locator(f"[data-language={language}][aria-pressed=true]").wait_for()
    ask(page, name, letter)
    page.locator("#ask").evaluate("form => document.activeElement.blur()")
    if name == "phone":
        page.locator("#result").evaluate("result => result.scrollIntoView()")
    else:
        page.evaluate("() => scrollTo(0, 0)")
    page.locator("#paper mark").first.wait_for(state="attached")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / f"{name}.png")
    if name == "library":
        page.locator("#edit").click()
        page.mouse.move(0, 0)
        page.evaluate("() => scrollTo(0, 0)")
        page.locator("#ask").evaluate("form => document.activeElement.blur()")
        page.screenshot(path=folder / "documents.png")
    context.close()


def main() -> None:
    """Take all pictures from the service at the address given."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content(LETTER)
        letter = page.pdf(format="A5")
        for name in PICTURES:
            take(browser, sys.argv[1], Path(__file__).parent, name, letter)
        browser.close()


if __name__ == "__main__":
    main()
