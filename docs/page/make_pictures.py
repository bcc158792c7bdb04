"""Take the pictures of the page that the documents show: python docs/page/make_pictures.py http://127.0.0.1:8017/

Needs a running `puna serve` with the default model, Playwright, Chromium, and fonts for English and Chinese.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

WIDE = {"viewport": {"width": 1280, "height": 860}}
PICTURES = {
    "light": ("en", {**WIDE, "color_scheme": "light"}),
    "chinese-dark": ("zh", {**WIDE, "color_scheme": "dark"}),
    "phone": ("en", {"viewport": {"width": 390, "height": 860}, "is_mobile": True, "has_touch": True}),
}


def take(browser: Browser, address: str, folder: Path, name: str) -> None:
    """Ask the page's example and save what is then seen."""
    language, options = PICTURES[name]
    context = browser.new_context(**options, reduced_motion="reduce")
    context.set_default_timeout(300_000)
    page = context.new_page()
    page.goto(f"{address}?lang={language}")
    page.locator(f"[data-language={language}][aria-pressed=true]").wait_for()
    page.locator("#example").click()
    page.locator("#ask [type=submit]").click()
    page.locator("#verdict").wait_for()
    page.locator("#ask").evaluate("form => document.activeElement.blur()")
    if name == "phone":
        page.locator("#result").evaluate("result => result.scrollIntoView()")
    page.mouse.move(0, 0)
    page.screenshot(path=folder / f"{name}.png")
    context.close()


def main() -> None:
    """Take all pictures from the service at the address given."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in PICTURES:
            take(browser, sys.argv[1], Path(__file__).parent, name)
        browser.close()


if __name__ == "__main__":
    main()
