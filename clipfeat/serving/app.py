"""FastAPI application of ``clipfeat serve``: the HTTP API and the page."""

from fastapi import FastAPI

from clipfeat.serving import api, page
from clipfeat.serving.server import Serving
from clipfeat.web.access import Access
from clipfeat.web.application import add_static, create_application
from clipfeat.web.body_limits import BodyLimits
from clipfeat.web.documentation import add_documentation

PUBLIC = frozenset({"/health"})
"""Paths that need no token."""


def create_app(
    serving: Serving, *, token: str | None = None, hosts: frozenset[str] = frozenset()
) -> FastAPI:
    """Create the FastAPI application of a server.

    Parameters
    ----------
    serving : Serving
        The model and the queue. The caller opens and closes them.
    token : str, optional
        The token that requests must have.
    hosts : frozenset of str
        Further host names of the server, as in `clipfeat.web.access.Access`.

    Returns
    -------
    FastAPI
        The application. ``state.serving`` is `serving`.
    """
    limits = BodyLimits(serving.limits.request_bytes, serving.limits.timeout)
    application = create_application(
        "clipfeat",
        Access(token, hosts, PUBLIC),
        summary="Predict the classes of images.",
        limits=limits,
    )
    application.state.serving = serving
    application.state.page_queue = page.PageQueue()
    application.include_router(api.router)
    application.include_router(page.router)
    add_static(application, "serving", "clipfeat.serving")
    add_documentation(application)
    return application
