"""Routes of the labelling page, for an application that serves thumbnails at ``/thumbnail/ROW``.

The response to each change contains the new state of the page. A decision is on the disk before
its response is sent.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.responses import HTMLResponse

from clipfeat.labelling.label_session import LabelSession
from clipfeat.web.application import add_static
from clipfeat.web.pages import page_templates, render_page

PACKAGE = "clipfeat.labelling"
MAX_NAME = 1_000
"""Maximum length of the name of a class in a request."""

router = APIRouter(prefix="/label", include_in_schema=False)  # as in `clipfeat.browsing.pages`
Row = Annotated[int, Body(embed=True)]
ClassName = Annotated[str, Body(embed=True, max_length=MAX_NAME)]


@dataclass(frozen=True)
class LabelPage:
    """Data that the routes need.

    Parameters
    ----------
    session : LabelSession
        The session of the person who labels.
    title : str
        Name of the images.
    version : str
        Version of the images in the addresses of thumbnails.
    """

    session: LabelSession
    title: str
    version: str


def add_labelling(application: FastAPI, page: LabelPage) -> None:
    """Add the routes and the static files, and start computing the first queue."""
    application.state.label_page = page
    application.include_router(router)
    add_static(application, "labelling", PACKAGE)
    page.session.refit()


def session_of(request: Request) -> LabelSession:
    """Return the session of the application that handles a request."""
    page: LabelPage = request.app.state.label_page
    return page.session


@router.get("", response_class=HTMLResponse)
def label_page(request: Request) -> HTMLResponse:
    """Return the HTML of the labelling page."""
    page: LabelPage = request.app.state.label_page
    return render_page(
        page_templates(PACKAGE), "label.html.j2",
        title=page.title, version=page.version, file=page.session.file.name,
        annotator=page.session.annotator,
    )  # fmt: skip


@router.get("/state")
def label_state(request: Request) -> dict[str, Any]:
    """Return the state of the page, such as the classes, the counts and the queue."""
    return asdict(session_of(request).state())


@router.post("/decide")
def decide(request: Request, row: Row, label: ClassName) -> dict[str, Any]:
    """Save the label of an image."""
    session_of(request).decide(row, label)
    return label_state(request)


@router.post("/undo")
def undo(request: Request) -> dict[str, Any]:
    """Take back the last decision. Its image becomes the first in the queue again."""
    row = session_of(request).undo()
    return {**label_state(request), "undone": row}


@router.post("/skip")
def skip(request: Request, row: Row) -> dict[str, Any]:
    """Leave an image out of the queue until the application ends."""
    session_of(request).skip(row)
    return label_state(request)


@router.post("/refit", status_code=202)
def refit(request: Request) -> dict[str, Any]:
    """Fit the classifier on all labels in the background, and order the queue again."""
    session_of(request).refit()
    return label_state(request)


@router.post("/class")
def add_class(request: Request, name: ClassName) -> dict[str, Any]:
    """Add a class without images."""
    session_of(request).add_class(name)
    return label_state(request)
