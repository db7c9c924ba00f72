"""Files and addresses that the paths of a table may name.

A table may be malicious. By default, it may therefore name only files in its own folder or in the
current directory, after links and ``..`` are resolved. If the table itself is remote, it may name
only objects below its own folder.

``--image-root DIR`` also allows the files below that folder, and links in it that lead elsewhere.
``--allow-remote`` allows addresses of the protocols in `PROTOCOLS`.
"""

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

from clipfeat.errors import UsageError
from clipfeat.system.locations import WEB, absolute, as_url, folder_of, is_remote

PROTOCOLS = WEB | {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory"}
"""Protocols that an address in a table may have. ``memory`` is a store within this process."""

MAX_CACHED = 2**16
"""Maximum number of folders that are resolved only once."""


def check_table_paths(
    table: str,
    paths: Iterable[str],
    root: str,
    *,
    image_root: str | Path | None = None,
    allow_remote: bool = False,
) -> None:
    """Check that a table names only files and addresses that it may name.

    Parameters
    ----------
    table : str
        Path or URL of the table.
    paths : iterable of str
        Paths and addresses in the table. They are iterated once.
    root : str
        Folder to which the relative paths are relative.
    image_root : path, optional
        The folder given by the caller.
    allow_remote : bool
        Whether the table may name addresses outside its folder.

    Raises
    ------
    UsageError
        If the table names another file or address. No file is opened and no request is made.
    """
    given = "" if image_root is None else absolute(image_root)
    above = folder_of(table)
    allowed = [folder for folder in (above, given) if is_remote(folder)]
    folders = [folder for folder in (above, str(Path.cwd()), given) if folder]
    local = [folder for folder in folders if not is_remote(folder)]
    is_below_url = is_remote(root)
    is_inside = _folder_check(root, local)
    # Paths of ordinary files are checked here, so that millions of them are not kept in memory.
    addresses: dict[str, None] = {}
    files: dict[str, None] = {}
    for path in filter(None, paths):
        if is_remote(path):
            addresses[path] = None
        elif is_below_url:
            addresses[f"{root}/{path}"] = None
        elif not is_inside(path):
            files[path] = None
    check_addresses(table, list(addresses), allowed, allow_remote=allow_remote)
    _check_files(table, list(files), root, local, given)


def check_addresses(
    source: str, addresses: Sequence[str], allowed: Sequence[str] = (), *, allow_remote: bool
) -> None:
    """Check the addresses in a table or list.

    Parameters
    ----------
    source : str
        Name of the table or list, for messages.
    addresses : sequence of str
        Addresses.
    allowed : sequence of str
        URLs of folders whose objects are always allowed.
    allow_remote : bool
        Whether all addresses with a protocol in `PROTOCOLS` are allowed.

    Raises
    ------
    UsageError
        If an address is not allowed.
    """
    refused = []
    for address in addresses:
        url = as_url(address)
        protocol = url.partition("://")[0]
        if "::" in url:
            raise UsageError(
                f"{source} has the chained address {address}. Replace it by a plain address, such "
                "as https://host/1.jpg"
            )
        if protocol not in PROTOCOLS:
            raise UsageError(
                f"{source} has an address with the protocol {protocol}, expected one of "
                f"{', '.join(sorted(PROTOCOLS))}: {address}. Replace it"
            )
        if protocol in WEB and "#" in url:
            raise UsageError(
                f"{source} has an address with a fragment: {address}. Remove the part after #"
            )
        if not any(_is_below(url, folder) for folder in allowed):
            refused.append(address)
    if refused and not allow_remote:
        raise UsageError(
            f"{source} has addresses ({len(refused)}), for example {refused[0]}. To download from "
            "them, pass --allow-remote"
        )


def _is_below(url: str, folder: str) -> bool:
    return url.startswith(folder + "/") and ".." not in unquote(url).split("/")


def _folder_check(root: str, folders: Sequence[str]) -> Callable[[str], bool]:
    """Return a fast function that recognises most of the local paths inside the folders.

    The paths that it does not recognise need the full check of `_check_files`.
    """
    inside = list(map(os.path.realpath, folders))

    @lru_cache(MAX_CACHED)
    def checked(above: str) -> tuple[bool, bool]:
        """Return whether a folder is inside the folders, and whether it exists."""
        file = os.path.realpath(_join(root, above))
        is_inside = any(_contains(folder, _join(file, "x")) for folder in inside)
        return is_inside, os.path.isdir(file)  # noqa: PTH112 -- False for names that are too long

    def is_inside(path: str) -> bool:
        if "\0" in path:  # no file has such a path
            return True
        above, slash, name = path.rpartition("/")
        folder_is_inside, exists = checked(above + slash)
        return (
            os.sep == "/"
            and folder_is_inside
            and name not in {"", ".", ".."}
            and not (exists and os.path.islink(_join(root, path)))  # noqa: PTH114 -- fast
        )

    return is_inside


def _check_files(
    table: str, paths: Sequence[str], root: str, folders: Sequence[str], image_root: str
) -> None:
    """Check local paths. `image_root` is the folder given by the caller, or empty."""
    resolved = cache(os.path.realpath)
    inside = [resolved(folder) for folder in folders]
    given = "" if is_remote(image_root) or not image_root else posixpath.normpath(image_root)

    def target(file: str) -> str:
        """Resolve a file. Each folder is resolved only once."""
        if os.path.islink(file):  # noqa: PTH114 -- creating a Path takes ten times as long
            return os.path.realpath(file)
        above, name = os.path.split(file)
        return os.path.realpath(file) if name in {"", ".."} else _join(resolved(above), name)

    outside: list[tuple[str, str, str]] = []
    for path in paths:
        file = _join(root, path)
        if "\0" in file:
            continue
        led = target(file)
        plain = os.path.normpath(file) if _is_plain(file, resolved) else led
        if given and _contains(given, plain):
            continue
        if not any(_contains(folder, led) for folder in inside):
            outside.append((path, plain, led))
    if not outside:
        return
    path, plain, led = outside[0]
    leads = "" if led == plain else f", which leads to {led}"
    folder = root
    if not all(_contains(root, plain) for _, plain, _ in outside):
        folders = [os.path.dirname(plain) for _, plain, _ in outside]  # noqa: PTH120
        if any(not os.path.isabs(path) for path, _, _ in outside):  # noqa: PTH117
            folders.append(root)  # relative paths must stay relative to it
        folder = os.path.commonpath(folders)
    raise UsageError(
        f"{table} names {len(outside)} files that are neither in its folder nor in the current "
        f"directory, for example {path}{leads}. If you trust the table, pass --image-root {folder}"
    )


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 -- creating a Path takes ten times as long


def _is_plain(file: str, resolved: Callable[[str], str]) -> bool:
    """Return whether a path leads to the same folder without ``..``, despite links."""
    if ".." not in file or ".." not in Path(file).parts:
        return True
    plain = os.path.normpath(file)
    return resolved(os.path.dirname(file)) == resolved(os.path.dirname(plain))  # noqa: PTH120


def _contains(folder: str, file: str) -> bool:
    return file.startswith(folder if folder.endswith(os.sep) else folder + os.sep)
