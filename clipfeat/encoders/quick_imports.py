"""Imports of torchvision and timm without the compiler of torch.

``torch._dynamo``, which `torch.compile` uses, takes 0.75 s of processor time to import. torchvision
0.29 imports it for `torchvision.ops.roi_align`, and timm 1.0.31 for a decorator of one network.
clipfeat uses neither. While the two libraries are imported, a stand-in therefore replaces
``torch._dynamo``. If other versions of the libraries need more of ``torch._dynamo``, the stand-in
imports it, which only costs time.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
_NAMES = (COMPILER, f"{COMPILER}.utils")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Replace ``torch._dynamo`` by a stand-in in a ``with`` block, unless it is already imported.

    The modules that are imported inside the block may decorate functions with
    ``torch.compiler.disable``. They may import any other function of ``torch._dynamo``.
    """
    if any(name in sys.modules for name in _NAMES):
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        _remove(finder)


class _Finder(MetaPathFinder, Loader):
    """Finder and loader of the stand-ins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a stand-in, or None for all other modules."""
        if fullname not in _NAMES:
            return None
        return ModuleSpec(fullname, self, is_package=fullname == COMPILER)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create a stand-in."""
        return _StandIn(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """Define the functions that are needed during imports."""
        if module.__name__ == COMPILER:
            module.disable = _disable  # type: ignore[attr-defined]
        else:
            module.is_compile_supported = _deferred("is_compile_supported")  # type: ignore[attr-defined]


class _StandIn(ModuleType):
    """Module that imports the real module if an attribute is missing."""

    def __init__(self, name: str, finder: _Finder) -> None:
        super().__init__(name)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks for optional attributes
            raise AttributeError(name)
        _remove(self._finder)
        return getattr(import_module(self.__name__), name)


def _remove(finder: _Finder) -> None:
    """Remove the stand-ins, so that the next import finds the real modules."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    for name in _NAMES:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(child, None)


def _deferred(name: str) -> Callable[..., Any]:
    """Return a function that imports ``torch._dynamo.utils`` on its first call."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(import_module(_NAMES[1]), name)(*args, **options)

    return call


def _disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """Decorate a function with ``torch._dynamo.disable`` when the function is first called."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        decorated: list[Callable[..., Any]] = []

        @wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            if not decorated:
                real = import_module(COMPILER).disable
                decorated.append(real(function, recursive, **options))
            return decorated[0](*args, **given)

        return call

    return decorate if fn is None else decorate(fn)
