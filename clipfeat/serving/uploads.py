"""Read the images of a request: files of a form, or URLs.

A form is parsed in memory while it arrives. Nothing is written to the disk.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from clipfeat.serving.limits import ServingLimits

# The parser logs a warning for each malformed form, which any client can send.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

FILES, URLS = "files", "urls"
FORM, JSON = "multipart/form-data", "application/json"
MAX_TEXT = 8192
"""Maximum size of a URL or of a file's name, in bytes."""


@dataclass(frozen=True)
class Upload:
    """One image of a request.

    Parameters
    ----------
    name : str
        Name of the file, or the URL.
    data : bytes
        The file. Empty for a URL.
    error : str
        Why the file was not read. Empty if it was read.
    is_url : bool
        Whether the name is a URL to download.
    """

    name: str
    data: bytes = b""
    error: str = ""
    is_url: bool = False


async def read_uploads(
    request: Request, limits: ServingLimits, hold: Callable[[int], None]
) -> list[Upload]:
    """Read the images of a request, in their order.

    Parameters
    ----------
    request : Request
        A form with files or URLs, or JSON with URLs.
    limits : ServingLimits
        Limits of the request. If a file is too large, its `Upload` holds an error, and the other
        files are still read.
    hold : callable
        Called with the size of each piece of the request. It may raise an exception to refuse the
        request.

    Raises
    ------
    HTTPException
        With status 415 for another kind of request, 422 for a malformed or empty request, and 413
        for too many images.
    """
    header, options = parse_options_header(request.headers.get("content-type"))
    kind = header.decode("latin-1").lower()
    pieces = _held(request.stream(), hold)
    if kind == JSON:
        uploads = await _read_json(pieces, limits)
    elif kind == FORM and options.get(b"boundary"):
        uploads = await _read_form(pieces, options[b"boundary"], limits)
    else:
        raise HTTPException(
            415, f"expected files as {FORM}, or URLs as {JSON}, got {kind[:80] or 'nothing'}. For "
            "example: curl -F files=@image.jpg"
        )  # fmt: skip
    if not uploads:
        raise HTTPException(422, "the request has no images. Send at least one file or URL")
    return uploads


async def _held(
    stream: AsyncIterable[bytes], hold: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    async for piece in stream:
        hold(len(piece))
        yield piece


async def _read_json(pieces: AsyncIterable[bytes], limits: ServingLimits) -> list[Upload]:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limits.max_files * MAX_TEXT:
            raise _too_many(limits)
    try:
        content = json.loads(body)
        urls = content["urls"] if isinstance(content, dict) else None
    except (ValueError, KeyError, RecursionError):
        urls = None
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise HTTPException(422, 'the JSON must be an object {"urls": [...]} with a list of texts')
    if len(urls) > limits.max_files:
        raise _too_many(limits)
    return [_address(url) for url in urls]


async def _read_form(
    pieces: AsyncIterable[bytes], boundary: bytes, limits: ServingLimits
) -> list[Upload]:
    try:
        form = _Form(boundary, limits)
        async for piece in pieces:
            form.parser.write(piece)
        form.parser.finalize()
    except FormParserError as error:
        raise HTTPException(422, f"the form is malformed: {error}") from error
    if not form.is_complete:
        raise HTTPException(422, "the form is incomplete: its last boundary is missing")
    return form.uploads


class _Form:
    """Collector of the parts of a form. Its methods are callbacks of the parser."""

    def __init__(self, boundary: bytes, limits: ServingLimits) -> None:
        self.uploads: list[Upload] = []
        self.is_complete = False
        self._limits = limits
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._field_name = self._file_name = ""
        self._limit = 0
        self._size = 0
        self._data = bytearray()
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def _begin(self) -> None:
        if len(self.uploads) >= self._limits.max_files:
            raise _too_many(self._limits)
        self._headers = {}
        self._size, self._data = 0, bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field_name = _text(options, b"name")
        self._file_name = _text(options, b"filename")
        if self._field_name not in {FILES, URLS}:
            raise HTTPException(
                422, f"unknown field {self._field_name[:80]!r} of the form. Use the field {FILES} "
                f"or {URLS}"
            )  # fmt: skip
        if self._field_name == FILES and not self._file_name:
            raise HTTPException(
                422, f"the field {FILES} has a text, not a file. Send files with their names, as "
                "curl -F files=@image.jpg does"
            )  # fmt: skip
        self._limit = self._limits.file_bytes if self._field_name == FILES else MAX_TEXT

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limit:
            self._data.clear()
        else:
            self._data += data[start:end]

    def _part_end(self) -> None:
        if self._field_name == FILES:
            error = ""
            if self._size > self._limit:
                error = f"ReadError: the file has more than {self._limit} bytes"
            self.uploads.append(Upload(self._file_name, bytes(self._data), error))
        else:
            self.uploads.append(_address(bytes(self._data).decode("utf-8", "replace")))
        self._data = bytearray()

    def _end(self) -> None:
        self.is_complete = True


def _address(url: str) -> Upload:
    is_long = not 0 < len(url) <= MAX_TEXT
    error = f"ReadError: the URL must have 1 to {MAX_TEXT} characters" if is_long else ""
    name = url[:MAX_TEXT].encode("utf-8", "backslashreplace").decode()
    if not error and name != url:  # JSON may contain lone surrogates, but an answer may not
        error = "ReadError: the URL is not valid Unicode"
    return Upload(name, error=error, is_url=True)


def _text(options: Mapping[bytes, bytes], name: bytes) -> str:
    return options.get(name, b"").decode("utf-8", "replace")


def _too_many(limits: ServingLimits) -> HTTPException:
    return HTTPException(
        413, f"the request has more than {limits.max_files} images. Send several requests",
        {"Connection": "close"},
    )  # fmt: skip
