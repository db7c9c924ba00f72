"""Draw the pictures of the README and of the tutorials.

Usage: ``python docs/make_pictures.py FIRST PAGE``. FIRST and PAGE are the working folders of the
tutorials ``first-detector.md`` and ``model-to-page.md`` after their last steps, as
``python -m tests.docs.record`` leaves them. Needs Debian's Chromium and Playwright.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from PIL import Image
from playwright.sync_api import expect, sync_playwright

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


def photograph_verdict(folder: Path, image: Path) -> None:
    """Serve a model, give its page an image, and save the verdict."""
    words = ["serve", "model.clipfeat", "--features", "grouped.h5", "--images", "practice/images",
             "--port", "0"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "clipfeat", *words], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as server, sync_playwright() as playwright:  # fmt: skip
        address = next(line.split()[-1] for line in server.stdout or () if "http" in line)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": 1180, "height": 900})
        tab.goto(address)
        tab.set_input_files("#files", image)
        expect(tab.locator(".findings")).to_have_count(1, timeout=120_000)
        expect(tab.locator(".card .lazy")).to_have_count(0, timeout=120_000)
        tab.locator(".card").screenshot(path=STATIC / "verdict.png")
        browser.close()
        server.terminate()
    reduce_colours(STATIC / "verdict.png")


def reduce_colours(path: Path) -> None:
    """Reduce a picture file to 128 colours."""
    picture = Image.open(path).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def photograph(
    address: str, name: str, *, width: int, height: int, images: Sequence[Path] = ()
) -> None:
    """Upload images to a page, if there are any, and save its first screen as a picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        tab.goto(address)
        if images:
            tab.wait_for_selector("#files:enabled", state="attached", timeout=120_000)
            tab.set_input_files("#files", images)
            tab.get_by_text("nearest").first.wait_for(timeout=120_000)
            tab.wait_for_timeout(3_000)
        tab.screenshot(path=STATIC / name)
        browser.close()
    reduce_colours(STATIC / name)


class QuietHandler(SimpleHTTPRequestHandler):
    """Handler that prints no line for each request."""

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def photograph_site(site: Path, images: Sequence[Path]) -> None:
    """Serve an exported page, give it images, and save its first screen."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        photograph(address, "site.png", width=900, height=760, images=images)
        server.shutdown()


if __name__ == "__main__":
    first, second = map(Path, sys.argv[1:])
    draw_patches(first / "practice" / "images")
    report, reasons = (first / name for name in ("run/report.html", "why.html"))
    photograph(report.resolve().as_uri(), "report.png", width=1100, height=620)
    photograph(reasons.resolve().as_uri(), "explanation.png", width=760, height=560)
    photograph_verdict(first.resolve(), first / "practice/new/fake/coffee-02-nearest.png")
    new = second / "practice" / "new"
    photograph_site(
        second / "site", [new / "real/coffee-02.png", new / "fake/coffee-02-nearest.png"]
    )
