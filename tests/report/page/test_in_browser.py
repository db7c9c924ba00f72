"""The page in a real browser; skips where no Chromium is installed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.report.page import write_page
from tests.report.page.test_write import EVIL
from tests.report.runs import make_run, with_generators

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium installed")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all there is, and markup in every name."""
    features = with_generators(60)
    skills = {"svm": 2.0, "knn": 0.7, "a classifier of a long name @ timm:resnet50": 1.0, EVIL: 0.5}
    run = make_run(features, None, skills, thresholds=True, command="clipfeat " + "x" * 300)
    folder = tmp_path_factory.mktemp("page")
    board = Leaderboard.from_rows(run.rows)
    return write_page(run, board, folder, features=features, remarks=["y" * 300])[0]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The system's Chromium, closed before any other module runs: it keeps an event loop."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: "Browser", page_file: Path) -> Iterator["Page"]:
    """The page, opened on a desktop."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()


def column(page: "Page", number: int) -> list[str]:
    """The cells of a column of the leaderboard."""
    rows = page.locator("#leaderboard tbody:first-of-type tr")
    return [text.split()[0] for text in rows.locator(f"xpath=./*[{number}]").all_inner_texts()]


def test_it_opens_without_an_error_or_a_request(browser: "Browser", page_file: Path) -> None:
    """Nothing but the file itself is asked for, and the console has nothing to say."""
    page = browser.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    page.close()


def test_nothing_can_be_sent(page: "Page") -> None:
    """The page's own policy stops a request, should one ever be made."""
    refused = "() => fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)"
    with page.expect_console_message() as message:
        assert page.evaluate(refused) == "Failed to fetch"
    assert "Content Security Policy" in message.value.text


def test_headings_sort_numbers_as_numbers(page: "Page") -> None:
    """By a click, then by the keyboard the other way; spreads are ignored, names sort as names."""
    heading = page.locator("#leaderboard th", has_text="log loss")
    place = 1 + page.locator("#leaderboard thead th").all_inner_texts().index("log loss")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in column(page, place)]
    assert values == sorted(values)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, place)] == values[::-1]
    page.locator("#leaderboard th", has_text="classifier").get_by_role("button").click()
    assert page.locator("#leaderboard [aria-sort]").count() == 1
    assert column(page, 1)[-2:] == ["knn", "svm"]


def test_it_fits_a_phone(page: "Page") -> None:
    """At 360 pixels the page does not scroll sideways, and tables do in a box of their own."""
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('#leaderboard .clipfeat-box').scrollWidth") > 360
    name = page.locator("#leaderboard tbody th", has_text="knn").first.bounding_box()
    assert name is not None and 90 < name["width"] < 180
    widest = "Math.max(...[...document.querySelectorAll('.plot svg')].map(e => e.clientWidth))"
    assert page.evaluate(widest) <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_and_paper_follow_the_reader(page: "Page", scheme: str) -> None:
    """Text, and what is written inside pictures, stands out from the background in both."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    paper, ink, drawn = (
        page.evaluate(f"{shade}(getComputedStyle(document.querySelector('{where}')).{what})")
        for shade in ["(c => c.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3)"]
        for where, what in (
            ("body", "backgroundColor"), ("body", "color"), ("#curves .plot svg text", "fill"),
        )
    )  # fmt: skip
    assert (paper < 60) == (scheme == "dark")
    assert abs(paper - ink) > 150
    assert abs(paper - drawn) > 150


def test_print_shows_the_content_alone(page: "Page") -> None:
    """Links and arrows are gone, tables are not cut off, no picture is parted by a page."""
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 690, "height": 1000})
    assert not page.locator("nav").is_visible()
    assert page.locator("#leaderboard table").is_visible()
    assert page.locator(".plot svg").first.is_visible()
    style = "getComputedStyle(document.querySelector('{}')).{}"
    assert page.evaluate(style.format("body", "backgroundColor")) == "rgb(255, 255, 255)"
    assert page.evaluate(style.format(".plots figure", "breakInside")) == "avoid"
    assert page.evaluate("document.documentElement.scrollWidth") <= 690


def test_it_says_all_without_a_script(browser: "Browser", page_file: Path) -> None:
    """Headings are then no buttons, and nothing is missing."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("th button").count() == 0
    assert page.locator("#leaderboard tbody tr").count() == 4
    assert page.locator("#curves .plot svg").count() == 2
    context.close()
