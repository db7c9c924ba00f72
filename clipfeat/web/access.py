"""Checks of a request before the application sees it: its host, its token and its origin.

- The ``Host`` header must be an IP address, ``localhost`` or an expected name. Otherwise, the page
  of a stranger could reach a server on this machine through the stranger's domain (DNS rebinding).
- If there is a token, each request must have it: in the header ``Authorization: Bearer TOKEN``, or
  in a cookie. The response to a request with ``?token=TOKEN`` sets this cookie.
- Requests that change something must come from this server's own pages or from a program, but not
  from a page of another origin.
"""

import hmac
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Access:
    """Rules for the requests that a server accepts.

    Parameters
    ----------
    token : str, optional
        The token that each request must have. If None, requests need no token.
    hosts : frozenset of str
        Names of this server besides ``localhost``, the name of the machine and all addresses. A
        name may have a port.
    public : frozenset of str
        Paths that need no token.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    public: frozenset[str] = frozenset()

    def is_own_host(self, header: str) -> bool:
        """Return whether the value of a ``Host`` header names this server.

        Examples
        --------
        >>> access = Access(hosts=frozenset({"clips.example"}))
        >>> [access.is_own_host(host) for host in ("127.0.0.1:80", "[::1]", "clips.example:8000")]
        [True, True, True]
        >>> access.is_own_host("evil.example"), access.is_own_host("")
        (False, False)
        """
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:  # brackets without an address
            return False
        if not name or set("@/?#\\") & set(header):
            return False
        try:
            ip_address(name)
        except ValueError:
            own = {"localhost", socket.gethostname().lower(), *map(str.lower, self.hosts)}
            return bool({name, header.lower()} & own) or name.endswith(".localhost")
        return True

    def is_own_token(self, token: str) -> bool:
        """Return whether a token is the right one. The comparison takes a constant time."""
        expected = (self.token or "").encode()
        return bool(expected) and hmac.compare_digest(token.encode("utf-8", "replace"), expected)

    def is_own_page(self, headers: Headers) -> bool:
        """Return whether a request comes from a page of this server or from a program.

        A proxy may change the header ``Host``, but not ``Sec-Fetch-Site``, which only browsers set.
        Without ``Sec-Fetch-Site``, the header ``Origin`` must be missing, or name the host of the
        request or one of `hosts`.
        """
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            parts = urlsplit(origin.lower())
        except ValueError:  # brackets without an address
            return False
        if parts.netloc == headers.get("host", "").lower():
            return True
        return bool({parts.netloc, parts.hostname} & set(map(str.lower, self.hosts)))


class AccessMiddleware:
    """Middleware that refuses requests with an unknown host, without token or from other origins.

    Parameters
    ----------
    app : ASGI application
        The next application.
    access : Access
        The rules for requests.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with a response."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else Response(status_code=404)
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self.access.is_own_host(headers.get("host", "")):
            return _answer(
                headers, 421, "this server does not know the host name of the request. Use its "
                "address or localhost, or start it with --allow-host NAME",
            )  # fmt: skip
        if self.access.token is not None and scope["path"] not in self.access.public:
            refusal = self._token_refusal(scope, headers)
            if refusal is not None:
                return refusal
        if scope["method"] not in SAFE_METHODS and not self.access.is_own_page(headers):
            return _answer(
                headers, 403, "the request comes from a page of another origin. Send it from a "
                "page of this server",
            )  # fmt: skip
        return None

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return None if the request has the token. With ``?token=``, set the cookie and redirect.

        The redirect removes the token from the address that the browser shows and remembers.
        """
        name = f"clipfeat-token-{(scope.get('server') or ('', 0))[1]}"
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.access.is_own_token(bearer.strip()):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(key == "token" and self.access.is_own_token(value) for key, value in query):
            rest = urlencode([(key, value) for key, value in query if key != "token"])
            if scope["method"] not in SAFE_METHODS:
                return None
            path = quote("/" + scope["path"].lstrip("/\\"))  # two slashes would name another host
            redirection = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            redirection.set_cookie(
                name, self.access.token or "", max_age=COOKIE_SECONDS, httponly=True, samesite="lax"
            )
            return redirection
        if self.access.is_own_token(cookie_parser(headers.get("cookie", "")).get(name, "")):
            return None
        answer = _answer(
            headers, 401, "this server needs a token. Open the address that it printed when it "
            "started, or send the header Authorization: Bearer TOKEN",
        )  # fmt: skip
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def _answer(headers: Headers, status: int, detail: str) -> Response:
    if "text/html" in headers.get("accept", ""):
        return PlainTextResponse(f"clipfeat: {detail}.", status)
    return JSONResponse({"detail": detail}, status)
