"""Draws the icons of the installed app from the logo: `python -m tests.browser.draw_icons`.

Systems crop a maskable icon to various shapes, so its background fills it, and the logo stays
within the middle four fifths.
"""

import re
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.runner.chromium import find_browser

FOLDER = Path(__file__).resolve().parents[2] / "static" / "img"
# name: (pixels, share of the width for the favicon's drawing, whether corners are rounded)
ICONS = {
    "icon-180.png": (180, 1.0, False),
    "icon-192.png": (192, 1.0, True),
    "icon-512.png": (512, 1.0, True),
    "icon-maskable-512.png": (512, 0.78, False),
}


def main() -> None:
    drawing = (FOLDER / "favicon.svg").read_text()
    [ground] = re.findall(r"<rect[^>]*/>", drawing)
    [color] = re.findall(r'fill="(#\w+)"', ground)
    mark = drawing.replace(ground, "")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for name, (size, part, is_rounded) in ICONS.items():
            page = browser.new_page(viewport={"width": size, "height": size})
            inner = (drawing if is_rounded else mark).replace(
                "<svg ", f'<svg width="{size * part}" height="{size * part}" '
            )
            ground_css = "transparent" if is_rounded else color
            page.set_content(
                f"<body style='margin:0;height:100vh;display:grid;place-items:center;"
                f"background:{ground_css}'>{inner}</body>"
            )
            page.screenshot(path=FOLDER / name, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
