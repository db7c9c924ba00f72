"""Routes of the application: the page, its parts as HTML, and compact arrays for its script.

A response with the status 202 means that the result is still being computed. The page then repeats
the request.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from numpy.typing import NDArray

from clipfeat.browsing.image_search import (
    MAX_RESULTS,
    BrowseMatches,
    search_image,
    search_row,
    search_text,
)
from clipfeat.browsing.lists import LISTS
from clipfeat.browsing.query import BrowseQuery
from clipfeat.browsing.selecting import ORDERS
from clipfeat.browsing.session import BrowseSession, finished
from clipfeat.browsing.thumbnails import ChangedImageError
from clipfeat.errors import unknown_name
from clipfeat.system.escaping import terminal_text
from clipfeat.web.pages import page_templates, render_page

PACKAGE = "clipfeat.browsing"
STATIC = Path(__file__).with_name("static")
NO_IMAGE, CHANGED_IMAGE = STATIC / "no-image.svg", STATIC / "changed-image.svg"
KEPT = {"Cache-Control": "private, max-age=86400"}
"""Headers that let the browser cache a thumbnail. Its URL contains the version of the data."""
MAX_DETAILS = 1_000
TOP_CLASSES = 6
"""Number of classes whose probability the panel of an image shows."""

router = APIRouter(include_in_schema=False)  # the routes may change with the page


def session_of(request: Request) -> BrowseSession:
    """Return the session of the application that answers a request."""
    session: BrowseSession = request.app.state.session
    return session


@router.get("/", response_class=HTMLResponse)
def page(request: Request) -> HTMLResponse:
    """Return the page of the application."""
    session = session_of(request)
    session.refresh_labels()
    entry = session.entries[0] if session.entries else ""
    return render_page(
        page_templates(PACKAGE), "browse.html.j2",
        data=session.data, entries=session.entries, entry=entry, lists=LISTS, orders=ORDERS,
        maps=session.maps, facets=session.facets(entry).values(),
        has_encoder=bool(session.data.features.specs), has_texts=session.has_texts,
        has_labels=session.labels is not None,
    )  # fmt: skip


@router.get("/filters", response_class=HTMLResponse)
def filters(request: Request, entry: str = "") -> HTMLResponse:
    """Return the filters for the predictions of a classifier, as a part of the page."""
    session = session_of(request)
    session.refresh_labels()
    facets = session.facets(entry).values()
    return render_page(page_templates(PACKAGE), "filters.html.j2", facets=facets)


@router.get("/panel/{row}", response_class=HTMLResponse)
def image_panel(request: Request, row: int, entry: str = "") -> HTMLResponse:
    """Return the panel of one image, as a part of the page."""
    session = session_of(request)
    detail = session.details([row], BrowseQuery(entry=entry))[0]
    predictions = session.predictions(entry)
    probabilities: list[tuple[str, float]] = []
    if predictions is not None and predictions.predicted[row] >= 0:
        p = predictions.p[row]
        best = np.argsort(-p, kind="stable")[:TOP_CLASSES].tolist()
        probabilities = [(predictions.classes[code], float(p[code])) for code in best]
    return render_page(
        page_templates(PACKAGE), "panel.html.j2",
        row=row, detail=detail, entry=entry, probabilities=probabilities,
        columns=session.data.columns(row), version=session.data.version,
        key=session.data.features.keys[row].decode(),
        label_classes=session.labels.classes if session.labels is not None else (),
    )  # fmt: skip


@router.post("/rows")
def rows(request: Request, query: BrowseQuery) -> Response:
    """Return the row numbers that a query selects, as 32-bit integers (little-endian)."""
    session = session_of(request)
    session.refresh_labels()
    return _array(session.rows(query).astype("<u4"))


@router.post("/details")
def details(
    request: Request,
    query: BrowseQuery,
    rows: Annotated[list[int], Body(max_length=MAX_DETAILS)],
) -> list[dict[str, Any]]:
    """Return facts about some images for the grid."""
    facts = [asdict(one) for one in session_of(request).details(rows, query)]
    return [{name: _escaped(value) for name, value in one.items()} for one in facts]


@router.get("/codes")
def codes(request: Request, facet: str, entry: str = "") -> Response:
    """Return the value of a facet for each image, as 16-bit indices (little-endian)."""
    facets = session_of(request).facets(entry)
    if facet not in facets:
        raise unknown_name("filter", facet, facets)
    return _array(facets[facet].codes.astype("<u2"))


@router.get("/map/{name}")
def feature_map(request: Request, name: str) -> Response:
    """Return the points of a map, as pairs of 16-bit coordinates (little-endian)."""
    points = finished(session_of(request).map_future(name))
    return _array(points.astype("<u2"))


@router.get("/list/{name}")
def list_summary(request: Request, name: str, entry: str = "") -> dict[str, Any]:
    """Return the number of images in a list, and its description."""
    session = session_of(request)
    session.refresh_labels()
    listed = finished(session.list_future(name, entry))
    return {"n": len(listed.rows), "sentences": [terminal_text(one) for one in listed.sentences]}


@router.get("/thumbnail/{row}")
def thumbnail(
    request: Request, row: int, size: Annotated[str, Query(pattern="^(small|large)$")] = "small"
) -> Response:
    """Return a thumbnail, or a placeholder if the image cannot be shown or has changed."""
    session = session_of(request)
    try:
        made = session.thumbnails.make(session.checked(row), size)
    except ChangedImageError:
        return FileResponse(CHANGED_IMAGE)
    if made is None:
        return FileResponse(NO_IMAGE)
    return Response(made, media_type="image/jpeg", headers=KEPT)


@router.get("/similar/{row}")
def similar(
    request: Request, row: int, k: Annotated[int, Query(ge=1, le=MAX_RESULTS)] = 60
) -> JSONResponse:
    """Find the images that are nearest to one of the images."""
    session = session_of(request)
    return _matches(search_row(session.data, session.checked(row), k))


@router.post("/search/image")
async def search_by_image(
    request: Request, k: Annotated[int, Query(ge=1, le=MAX_RESULTS)] = 60
) -> JSONResponse:
    """Find the images that are nearest to the image in the body."""
    from starlette.concurrency import run_in_threadpool

    data = await request.body()
    session = session_of(request)
    return _matches(await run_in_threadpool(search_image, session.data, data, k))


@router.post("/search/text")
def search_by_text(
    request: Request,
    text: Annotated[str, Body(embed=True, max_length=1_000)],
    k: Annotated[int, Query(ge=1, le=MAX_RESULTS)] = 60,
) -> JSONResponse:
    """Find the images that are nearest to a text."""
    return _matches(search_text(session_of(request).data, text, k))


def _escaped(value: Any) -> Any:
    """Escape the control characters of a text. The page's script inserts it as text, not HTML."""
    return terminal_text(value) if isinstance(value, str) else value


def _array(values: NDArray[Any]) -> Response:
    return Response(np.ascontiguousarray(values).tobytes(), media_type="application/octet-stream")


def _matches(matches: BrowseMatches) -> JSONResponse:
    return JSONResponse(
        {"rows": matches.rows.tolist(), "similarities": matches.similarities.round(4).tolist()}
    )
