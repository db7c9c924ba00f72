"""Draw the pictures of the README and of the tutorials.

Usage: ``python docs/make_pictures.py FOLDER``. FOLDER is the working folder of the tutorial
``first-detector.md`` after its last step. Needs Debian's Chromium and Playwright.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

STATIC = Path(__file__).parent / "_static"
SHOWN = ("china-00", "chelsea-00")
VERSIONS = ("", "-nearest", "-bilinear", "-transposed", "-sharpened")
PATCH, GAP = 128, 8


def draw_patches(images: Path) -> None:
    """Draw real patches on the left, and their generated copies beside them."""
    size = (len(VERSIONS) * (PATCH + GAP) - GAP, len(SHOWN) * (PATCH + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for row, name in enumerate(SHOWN):
        for column, version in enumerate(VERSIONS):
            path = images / ("fake" if version else "real") / f"{name}{version}.png"
            sheet.paste(Image.open(path), (column * (PATCH + GAP), row * (PATCH + GAP)))
    sheet.quantize(256).save(STATIC / "patches.png", optimize=True)


def photograph(page: Path, name: str, *, width: int, height: int) -> None:
    """Save the first screen of an HTML page as a picture of few colours."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=STATIC / name)
        browser.close()
    picture = Image.open(STATIC / name).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(STATIC / name, optimize=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    draw_patches(folder / "practice" / "images")
    photograph(folder / "run" / "report.html", "report.png", width=1100, height=620)
    photograph(folder / "why.html", "explanation.png", width=760, height=440)
