"""The application of ``clipfeat app``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from clipfeat.browsing.pages import PACKAGE, router
from clipfeat.browsing.session import BrowseSession, NotReadyError
from clipfeat.labelling.pages import LabelPage, add_labelling
from clipfeat.web.access import Access
from clipfeat.web.application import add_static, create_application
from clipfeat.web.body_limits import BodyLimits

MAX_UPLOAD = 2**26
"""Maximum size of an uploaded query image, in bytes."""


def create_browse_application(session: BrowseSession, access: Access) -> FastAPI:
    """Create the FastAPI application for a session.

    Parameters
    ----------
    session : BrowseSession
        The images. Their thumbnails are closed when the application ends.
    access : Access
        Who may use the application.
    """

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        with session.thumbnails:
            yield

    application = create_application(
        f"clipfeat app: {session.data.title}", access,
        limits=BodyLimits(MAX_UPLOAD), lifespan=lifespan,
    )  # fmt: skip
    application.state.session = session
    application.add_exception_handler(NotReadyError, _answer_not_ready)
    application.include_router(router)
    add_static(application, "browsing", PACKAGE)
    if session.labels is not None:
        page = LabelPage(session.labels, session.data.title, session.data.version)
        add_labelling(application, page)
    return application


async def _answer_not_ready(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 202)
