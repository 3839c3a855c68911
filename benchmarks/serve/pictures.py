"""Screenshots of the page for the documents: `python benchmarks/serve/pictures.py`."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))

from servers import serving  # noqa: E402

WIDTHS = (1280, 390)


def main() -> None:
    pictures = ROOT / "docs" / "pictures"
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("tiny", folder) as server,
        sync_playwright() as started,
    ):
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
        page.set_default_timeout(120_000)
        page.goto(server.url)
        page.wait_for_selector("#about:has-text('Model')")
        page.fill("#generate [name=prompt]", "a dog barking")
        page.fill("#generate [name=n]", "2")
        page.fill("#generate [name=seed]", "7")
        page.click("#generate .go")
        page.wait_for_selector(".job[data-state=done] audio[src]")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(500)
            page.screenshot(path=pictures / f"page-generate-{width}.png", full_page=True)
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        page.locator("text=Edit this").first.click()
        page.wait_for_selector("#marking:not([hidden])")
        page.locator("#wave").scroll_into_view_if_needed()
        box = page.locator("#wave").bounding_box()
        at_y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 0.2 * box["width"], at_y)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.4 * box["width"], at_y, steps=5)
        page.mouse.up()
        page.fill("#edit [name=prompt]", "a rooster crowing")
        page.click("#edit .go")
        page.locator(".job[data-state=done]").nth(1).wait_for()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(800)
            page.screenshot(path=pictures / f"page-edit-{width}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
