"""The application that serves the routes of one or several packages."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware

from clipfeat.errors import ClipfeatError, DataError, ImageError, StorageError, UsageError
from clipfeat.system.escaping import terminal_text
from clipfeat.web.access import Access, AccessMiddleware
from clipfeat.web.body_limits import BodyLimitMiddleware, BodyLimits, DrainMiddleware
from clipfeat.web.security_headers import SecurityHeaders

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_STATUS: tuple[tuple[type[ClipfeatError], int], ...] = (
    (UsageError, 400),
    (DataError, 400),
    (ImageError, 400),
    (StorageError, 503),
    (ClipfeatError, 500),
)


def create_application(
    title: str,
    access: Access,
    *,
    summary: str = "",
    limits: BodyLimits = BodyLimits(),
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Make an application with safe defaults and the shared static files.

    Each response has the headers of `clipfeat.web.security_headers`. Requests are checked as
    described in `clipfeat.web.access`, and their bodies are limited. If a route raises a
    `ClipfeatError`, the response contains its message. The OpenAPI description is at
    ``/openapi.json``.

    Parameters
    ----------
    title, summary : str
        Title and short description of the application.
    access : Access
        Rules for the requests that the server accepts.
    limits : BodyLimits
        Limits of request bodies.
    lifespan : callable, optional
        Context manager that is open while the server runs, as in FastAPI.

    Returns
    -------
    FastAPI
        The application. Add routes with ``include_router``, and objects for them as attributes of
        ``state``.
    """
    application = FastAPI(
        title=title,
        summary=summary or None,
        version="1",  # of the routes, not of the package
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(DrainMiddleware, limits=limits),
            Middleware(AccessMiddleware, access=access),
            Middleware(BodyLimitMiddleware, limits=limits),
        ],
        exception_handlers={
            ClipfeatError: _answer_error,
            RequestValidationError: _answer_invalid,
        },
    )
    add_static(application, "web", "clipfeat.web")
    return application


def add_static(application: FastAPI, name: str, package: str, folder: str = "static") -> None:
    """Serve a package's static files at ``/static/NAME/``.

    Parameters
    ----------
    application : FastAPI
        The application.
    name : str
        Value of NAME in the URL.
    package, folder : str
        The package, and its folder of static files.
    """
    files = _RevalidatedFiles(packages=[(package, folder)])
    application.mount(f"/static/{name}", files, name=f"static-{name}")


class _RevalidatedFiles(StaticFiles):
    """Static files. Browsers may cache them, but must ask whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def status_of(error: Exception) -> int:
    """Return the HTTP status of the response to a `ClipfeatError`."""
    return next(code for kind, code in _STATUS if isinstance(error, kind))


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": terminal_text(str(error))}, status_of(error))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """Say which value is invalid, without the value, which may be no valid Unicode or JSON."""
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{name: one[name] for name in ("type", "loc", "msg")} for one in errors]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")
