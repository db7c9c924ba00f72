"""Image sources: list images, read their bytes and decode them.

The names of this package are loaded on first use (PEP 562). A process that decodes images imports
only `clipfeat.images.decode`, which takes a third of the time of all sources.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.memory import image_source
    from clipfeat.images.source_registry import SOURCES, SourceKind, open_source, source_kinds

_HOME = {
    "SOURCES": "source_registry",
    "SourceKind": "source_registry",
    "TableColumns": "manifest",
    "image_source": "memory",
    "open_source": "source_registry",
    "source_kinds": "source_registry",
}

__all__ = [
    "SOURCES",
    "SourceKind",
    "TableColumns",
    "image_source",
    "open_source",
    "source_kinds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'clipfeat.images' has no attribute {name!r}")
    value = getattr(import_module(f"clipfeat.images.{_HOME[name]}"), name)
    globals()[name] = value
    return value
