"""Tests of the report page in Chromium. They are skipped if it is not installed."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clipfeat.evaluate.leaderboard import column_titles
from clipfeat.report.page import PageOptions, write_page
from tests.report.page.test_write import EVIL
from tests.report.runs import GENERATORS, make_run, with_generators

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium installed")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page with every section, and with markup in names."""
    features = with_generators(60)
    skills = {"svm": 2.0, "knn": 0.7, "a classifier of a long name @ timm:resnet50": 1.0, EVIL: 0.5}
    run = make_run(features, None, skills, thresholds=True, command="clipfeat " + "x" * 300,
                   versions={f"package-{i}": "1" for i in range(14)})  # fmt: skip
    folder = tmp_path_factory.mktemp("page")
    scored = {row["metric"] for row in run.rows}
    missing = [
        name for name in (*column_titles(), "recall/real", "recall/fake") if name not in scored
    ]
    rows = [dict(row, metric=name, value=0.123) for name in missing for row in run.rows[::20]]
    run = replace(run, rows=[*run.rows, *rows])
    return write_page(run, run.leaderboard(), folder, PageOptions(features), ["y" * 300])[0]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start Chromium, and close it at the end of the module because it keeps an event loop."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: "Browser", page_file: Path) -> Iterator["Page"]:
    """Open the page in a desktop-sized window."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()


def column(page: "Page", number: int) -> list[str]:
    """Return the cells of a column of the leaderboard."""
    rows = page.locator("#leaderboard tbody:first-of-type tr")
    return [text.split()[0] for text in rows.locator(f"xpath=./*[{number}]").all_inner_texts()]


def test_opening_causes_no_error_and_no_request(browser: "Browser", page_file: Path) -> None:
    """The browser requests only the file, and the console stays empty."""
    page = browser.new_page()
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_load_state("networkidle")
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    page.close()


def test_nothing_can_be_sent(page: "Page") -> None:
    """The content security policy blocks requests by scripts."""
    refused = "() => fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)"
    with page.expect_console_message() as message:
        assert page.evaluate(refused) == "Failed to fetch"
    assert "Content Security Policy" in message.value.text


def test_headings_sort_numbers_as_numbers(page: "Page") -> None:
    """A click sorts a column, and Enter reverses it.

    Spreads after ± are ignored, and names are sorted as text.
    """
    heading = page.locator("#leaderboard th", has_text="log loss")
    position = 1 + page.locator("#leaderboard thead th").all_inner_texts().index("log loss")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in column(page, position)]
    assert values == sorted(values)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, position)] == values[::-1]
    page.locator("#leaderboard th", has_text="classifier").get_by_role("button").click()
    assert page.locator("#leaderboard [aria-sort]").count() == 1
    assert column(page, 1)[-2:] == ["knn", "svm"]


def test_it_fits_a_phone(page: "Page") -> None:
    """At a width of 360 pixels, only tables scroll sideways, each in its own box."""
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('#leaderboard .clipfeat-box').scrollWidth") > 360
    name = page.locator("#leaderboard tbody th", has_text="knn").first.bounding_box()
    assert name is not None and 90 < name["width"] < 180
    widest = "Math.max(...[...document.querySelectorAll('.plot svg')].map(e => e.clientWidth))"
    assert page.evaluate(widest) <= 360


def test_wide_tables_fit_a_desktop(page: "Page") -> None:
    """At a width of 1280 pixels, the leaderboard with all columns does not scroll sideways."""
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.locator("#leaderboard thead th").count() >= 15
    scrolling = "(boxes) => boxes.filter((box) => box.scrollWidth > box.clientWidth).length"
    assert page.eval_on_selector_all(".clipfeat-box", scrolling) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_chart_of_rates_sorts_within_its_groups(page: "Page") -> None:
    """A click on the names' heading sorts the rows within their groups."""
    head = page.locator(".rates th", has_text="generator").get_by_role("button")
    names = page.locator(".rates tbody th")
    head.click()
    first = [name for name in names.all_inner_texts() if name in GENERATORS]
    assert first == sorted(GENERATORS, key=str.lower)
    head.press("Enter")
    texts = names.all_inner_texts()
    assert [name for name in texts if name in GENERATORS] == first[::-1]
    assert texts[0].startswith("false positive rate of real") and texts[1] == "real"


def test_pointing_at_a_bar_states_its_interval(page: "Page") -> None:
    """A tooltip shows the name, the rate, its interval and the number of images."""
    row = page.locator(".rates tbody tr:not(.group)").first
    row.hover()
    tip = page.locator(".tip").inner_text()
    assert re.fullmatch(r"real: .* 0\.\d{3}, 95 % interval 0\.\d{3} to 0\.\d{3}, 60 images", tip)
    page.locator(".summary h1").hover()
    assert not page.locator(".tip").is_visible()


def test_pointing_at_a_legend_emphasises_a_line(page: "Page") -> None:
    """The other lines of the plot fade, and a tooltip names the line."""
    plot = page.locator("#curves .plot").first
    plot.locator("[id$=name-1]").hover()
    shown = {
        name: plot.locator(f"[id$={name}]").evaluate("(line) => line.classList.contains('lit')")
        for name in ("series-0", "series-1", "key-1", "name-2")
    }
    assert shown == {"series-0": False, "series-1": True, "key-1": True, "name-2": False}
    faded = "getComputedStyle(document.querySelector('#curves [id$=series-0]')).opacity"
    assert page.evaluate(faded) == "0.15"
    assert (
        page.locator(".tip").inner_text()
        == (plot.locator("[id$=name-1]").text_content() or "").strip()
    )
    page.locator(".summary h1").hover()
    assert page.evaluate(faded) == "1"


def test_long_tables_have_a_filter(page: "Page") -> None:
    """Typing into the filter of a long table hides the rows without this text."""
    page.locator("#details input").fill("PACKAGE-7")
    rows = page.locator("#details tbody tr")
    assert [row.is_visible() for row in rows.all()] == [i == 7 for i in range(14)]
    assert page.locator("#leaderboard input").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_colour_scheme(page: "Page", scheme: str) -> None:
    """In both colour schemes, text of the page and of plots contrasts with the background."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    paper, ink, drawn = (
        page.evaluate(f"{shade}(getComputedStyle(document.querySelector('{selector}')).{style})")
        for shade in ["(c => c.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3)"]
        for selector, style in (
            ("body", "backgroundColor"), ("body", "color"), ("#curves .plot svg text", "fill"),
        )
    )  # fmt: skip
    assert (paper < 60) == (scheme == "dark")
    assert abs(paper - ink) > 150
    assert abs(paper - drawn) > 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_meets_wcag_aa(browser: "Browser", page_file: Path, scheme: str) -> None:
    """axe-core finds no violation of WCAG 2.1 AA, such as low contrast."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = browser.new_page(bypass_csp=True, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(page_file.as_uri())
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    result = axe.Axe().run(page, options=rules)
    assert result.violations_count == 0, result.generate_report()
    page.close()


def test_print_hides_the_navigation(page: "Page") -> None:
    """In print, links are hidden, tables are complete, and plots are not split across pages."""
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 690, "height": 1000})
    assert not page.locator("nav").is_visible()
    assert page.locator("#leaderboard table").is_visible()
    assert page.locator(".plot svg").first.is_visible()
    style = "getComputedStyle(document.querySelector('{}')).{}"
    assert page.evaluate(style.format("body", "backgroundColor")) == "rgb(255, 255, 255)"
    assert page.evaluate(style.format(".plots figure", "breakInside")) == "avoid"
    assert page.evaluate("document.documentElement.scrollWidth") <= 690


def test_the_page_is_complete_without_javascript(browser: "Browser", page_file: Path) -> None:
    """Without JavaScript, all content is there, and headings are no buttons."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("th button").count() == 0
    assert page.locator("#leaderboard tbody tr").count() == 4
    assert page.locator("#curves .plot svg").count() == 2
    context.close()
