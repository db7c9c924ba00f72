"""Tests of the page in Chromium. They are skipped if it is not installed."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from clipfeat.browsing.file_cache import FileCache
from clipfeat.browsing.session import BrowseSession
from clipfeat.browsing.thumbnails import BrowseThumbnails
from clipfeat.labelling.label_log import read_decisions
from clipfeat.labelling.label_session import LabelSession
from tests.browsing.browsed import browse_data, with_split
from tests.report.runs import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
N_IMAGES = 2_000
EVIL = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium installed")


@pytest.fixture(scope="module")
def label_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of decisions."""
    return tmp_path_factory.mktemp("labels") / "labels.csv"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, label_file: Path) -> Iterator[str]:
    """Serve a feature file of 2,000 images, of which only the first exists as a file."""
    from clipfeat.browsing.application import create_browse_application
    from clipfeat.web.access import Access
    from clipfeat.web.running import address_of, bind

    folder = tmp_path_factory.mktemp("browsed")
    features = with_split(N_IMAGES // 2, classes=("real", EVIL), apart=3.0)
    paths = features.paths.astype("U40")
    paths[:] = [f"{i:04d}.png" for i in range(N_IMAGES)]
    features = replace(features, paths=paths)
    Image.new("RGB", (20, 10), "red").save(folder / "0000.png")
    data = browse_data(features, [str(folder)])
    thumbnails = BrowseThumbnails(data, FileCache(folder / "cache"))
    labels = LabelSession(data.features, label_file, "ann")
    run = make_run(features, skills={"svm": 2.0})
    session = BrowseSession(data, thumbnails, run, labels=labels)
    session.map_future("pca").result()
    listener = bind("127.0.0.1", 0)
    application = create_browse_application(session, Access())
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield address_of(listener, None)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start Chromium, and close it at the end of the module because it keeps an event loop."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    """Open the page. Check that it logs nothing and makes no requests to other hosts."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(60_000)
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(dialog.message))
    opened.on(
        "request",
        lambda request: (
            problems.append(request.url) if not request.url.startswith(address) else None
        ),
    )
    opened.goto(address)
    opened.wait_for_selector(".cell[data-described]")
    yield opened
    opened.close()
    assert problems == []


def wait_for_count(page: "Page", text: str) -> None:
    """Wait until the page shows a number of images."""
    from playwright.sync_api import expect

    expect(page.locator("#count")).to_have_text(re.compile(text), timeout=60_000)


def test_only_visible_images_are_on_the_page(page: "Page") -> None:
    """The keyboard reaches the last of 2,000 images, and few cells exist at any time."""
    wait_for_count(page, "^2,000 images$")
    assert page.locator(".cell").count() < 100
    page.locator("#grid").press("End")
    last = page.locator(".cell[aria-selected=true]")
    assert last.get_attribute("aria-posinset") == "2000"
    assert page.locator(".cell").count() < 100
    page.wait_for_selector(".cell[aria-selected=true][title='1999.png']")


def test_all_cells_of_a_large_screen_are_described(page: "Page") -> None:
    """On a large screen, more than 200 cells have a description at the same time."""
    page.set_viewport_size({"width": 3840, "height": 2160})
    page.wait_for_function(
        """() => {
            const cells = [...document.querySelectorAll(".cell")];
            return cells.length > 200 && cells.every((cell) => cell.dataset.described);
        }"""
    )


def test_an_image_opens_by_keyboard(page: "Page") -> None:
    """Enter opens the panel, arrow keys show the next image, and Escape closes the panel."""
    grid = page.locator("#grid")
    grid.press("Enter")
    page.wait_for_selector("#panel h2:text('0000.png')")
    width = "document.querySelector('.panel-image').naturalWidth"
    for _ in range(200):
        if page.evaluate(width):
            break
        page.wait_for_timeout(50)
    assert page.evaluate(width) == 20
    grid.press("ArrowRight")
    page.wait_for_selector("#panel h2:text('0001.png')")
    grid.press("Escape")
    assert page.locator("#panel").is_hidden()
    assert page.evaluate("document.activeElement.id") == "grid"


def test_a_key_labels_the_image_that_is_shown(page: "Page", label_file: Path) -> None:
    """A key labels the image in the panel, even while the next image is loading."""
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route("**/panel/1?*", hold)
    grid = page.locator("#grid")
    grid.press("Enter")
    page.wait_for_selector("#panel h2:text('0000.png')")
    with page.expect_response("**/label/decide"):
        grid.press("ArrowRight")
        grid.press("2")
    assert [one.path for one in read_decisions(label_file)] == ["0000.png"]
    page.wait_for_function("() => document.getElementById('filters').textContent.includes('1,001')")
    held[0].continue_()
    page.wait_for_selector("#panel h2:text('0001.png')")
    grid.press("u")
    page.wait_for_selector("#panel h2:text('0000.png')")


def test_filters_and_orders(page: "Page") -> None:
    """A filter can be combined with the errors, and Reset removes both. Markup is shown as text."""
    page.get_by_label(EVIL).first.check()
    wait_for_count(page, "^1,000 of 2,000")
    page.get_by_label("Show").select_option("errors")
    wait_for_count(page, r"^\d\d? of 2,000|^[1-9]\d\d of 2,000")
    page.wait_for_selector(".cell.wrong")
    shown = [float(text.split()[-1]) for text in page.locator(".cell .bad").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.get_by_role("button", name="Reset").click()
    wait_for_count(page, "^2,000 images$")
    assert page.locator("#filters input:checked").count() == 0


def test_a_rectangle_on_the_map_selects_images(page: "Page") -> None:
    """The rectangle can be dragged, moved with keys and removed."""
    canvas = page.locator("#brush")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.7, steps=3)
    page.mouse.up()
    wait_for_count(page, "^[0-9,]+ of 2,000")
    n_dragged = page.locator("#count").inner_text()
    for _ in range(4):
        canvas.press("-")
    wait_for_count(page, f"^(?!{n_dragged}).* of 2,000")
    canvas.press("Escape")
    wait_for_count(page, "^2,000 images$")


def test_similar_images_are_listed(page: "Page") -> None:
    """The first of the similar images is the image itself."""
    page.locator(".cell").nth(2).click()
    page.get_by_role("button", name="Similar images").click()
    wait_for_count(page, "^60 of 2,000")
    page.wait_for_selector(".cell[data-index='0'][title='0002.png']")
    assert "1.000" in page.locator(".cell[data-index='0']").inner_text()


def test_it_fits_a_phone(page: "Page") -> None:
    """Only the toolbar scrolls sideways, and the side panes open on demand."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    page.wait_for_selector(".cell[data-described]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cells = [one.bounding_box() for one in page.locator(".cell").all()]
    assert max(box["x"] + box["width"] for box in cells if box) <= 360
    assert page.locator("#filters").is_hidden()
    page.get_by_role("button", name="Map").click()
    assert page.locator("#brush").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_colour_scheme(page: "Page", scheme: str) -> None:
    """In light and dark mode, text contrasts with the background."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    paper, ink = (
        np.mean([int(part) for part in re.findall(r"\d+", page.evaluate(value))[:3]])
        for value in (
            "getComputedStyle(document.body).backgroundColor",
            "getComputedStyle(document.querySelector('.cell-label')).color",
        )
    )
    assert (paper < 60) == (scheme == "dark")
    assert abs(paper - ink) > 150


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour such as #20232a (WCAG 2)."""
    parts = np.array([int(colour.strip()[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_points_of_the_map_contrast_with_its_background(page: "Page", scheme: str) -> None:
    """Selected, grey and unselected points have the contrast of graphics in WCAG 2, 3:1."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    names = ["--faint", "--muted", "--colour-unselected", *(f"--colour-{n}" for n in range(1, 10))]
    values = page.evaluate(
        "names => names.map(name => getComputedStyle(document.body).getPropertyValue(name))", names
    )
    background, *points = map(luminance, values)
    contrasts = [(max(p, background) + 0.05) / (min(p, background) + 0.05) for p in points]
    assert min(contrasts) >= 3, dict(zip(names[1:], contrasts, strict=True))
    assert contrasts[1] == min(contrasts)  # the selection stands out


def test_a_list_follows_a_correction(page: "Page") -> None:
    """A corrected image leaves the list of errors, and the view stays in place."""
    page.select_option("select[name=show]", "errors")
    page.locator("#count", has_text=" of ").wait_for()
    text = page.inner_text("#count")
    n = int(text.partition(" ")[0].replace(",", ""))
    page.locator("#grid .cell").nth(3).click()
    page.locator("#panel [data-label][aria-pressed=false]").first.click()
    wait_for_count(page, text.replace(f"{n:,} of", f"{n - 1:,} of"))
    assert page.get_attribute("#grid", "aria-activedescendant") == "cell-3"
    page.keyboard.press("u")
    wait_for_count(page, text)
