"""Download images from URLs that a client sends.

Only public addresses are allowed. Otherwise, a client could reach private machines in the network
of this server. The IP address is checked when the connection is made, so host names and redirects
that lead to a private address are refused too.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from clipfeat.errors import ReadError, StorageError
from clipfeat.system.files import storage_errors
from clipfeat.system.locations import WEB, as_url, web_options

NOT_PUBLIC = "the address is not public"
_NAT64 = IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """Error for an address that is not public."""


def download(url: str, max_bytes: int, seconds: float) -> bytes:
    """Download an image.

    Parameters
    ----------
    url : str
        A URL of ``http`` or ``https``.
    max_bytes : int
        Maximum size of the file.
    seconds : float
        Maximum time.

    Raises
    ------
    ReadError
        If the URL is not allowed, if its server does not answer in time, or if the file is missing,
        empty or too large.
    """
    from upath import UPath

    from clipfeat.system.web import fetch

    address = as_url(url)
    protocol = address.partition("://")[0]
    # fsspec opens other files for chained URLs, such as zip://a::http://host/b.zip.
    if protocol not in WEB or "::" in address or "#" in address:
        raise ReadError("the address is not a plain URL of http or https")
    try:
        remote = UPath(
            address, use_listings_cache=False, get_client=_client, **web_options(protocol)
        )
        with storage_errors("downloading"):
            data = fetch(remote, 0, max_bytes + 1, seconds)
    except (StorageError, ValueError) as error:
        raise ReadError(_reason(error)) from error
    if not data:
        raise ReadError("the file is empty")
    if len(data) > max_bytes:
        raise ReadError(f"the file has more than {max_bytes} bytes")
    return data


async def _client(**kwargs: Any) -> Any:
    """Make an HTTP client that connects to public addresses only."""
    import aiohttp

    connector = aiohttp.TCPConnector(socket_factory=public_socket)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, **kwargs
    )


def public_socket(address: Any) -> socket.socket:
    """Create a socket for a connection, if its address is public.

    Parameters
    ----------
    address : tuple
        One result of `socket.getaddrinfo`: the family, type, protocol, name and address.

    Raises
    ------
    PrivateAddressError
        If the address is not public.
    """
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise PrivateAddressError(f"{host}: {NOT_PUBLIC}")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def is_public(host: str) -> bool:
    """Return whether an IP address belongs to the public internet.

    Examples
    --------
    >>> [is_public(host) for host in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::1")]
    [True, False, False, False]
    >>> [is_public(host) for host in ("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "64:ff9b::808:808")]
    [False, False, True]
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _reason(error: BaseException) -> str:
    """Return the reason of a failed download, without details about this server's network."""
    cause: BaseException | None = error
    while cause is not None:
        if NOT_PUBLIC in str(cause):
            return NOT_PUBLIC
        if isinstance(cause, TimeoutError):
            return "the server takes too long"
        if isinstance(cause, FileNotFoundError):
            return "the file does not exist"
        if status := getattr(cause, "status", 0):
            return f"the server answers with status {status}"
        cause = getattr(cause, "os_error", None) or cause.__cause__ or cause.__context__
    return "the file cannot be downloaded"
