"""The list of public Python names, and the pages of the file formats and the exit codes."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import clipfeat

DOCUMENTED_MODULES = {
    "feature-file": ("The feature file", "clipfeat.store.format"),
    "model-file": ("The model file", "clipfeat.model.format"),
    "exit-codes": ("Exit codes", "clipfeat.cli.exits"),
    "errors": ("Errors", "clipfeat.errors"),
}
"""Pages whose text is the docstring of a module."""


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "api.rst", api_page()
    for name, (title, module) in DOCUMENTED_MODULES.items():
        yield f"{name}.rst", module_page(title, import_module(module))


def api_page() -> str:
    """Return the page that lists the public functions and classes."""
    values = {name: getattr(clipfeat, name) for name in clipfeat.__all__}
    functions = [name for name, value in values.items() if inspect.isfunction(value)]
    classes = [name for name in values if name not in functions]
    lines = [*heading("Python API", "="), "All public names are in the module ``clipfeat``.", ""]
    for title, names in (("Functions", functions), ("Classes", classes)):
        lines += [
            *heading(title, "-"),
            ".. autosummary::",
            "   :toctree: api",
            "   :nosignatures:",
            "",
        ]
        lines += [f"   clipfeat.{name}" for name in names] + [""]
    return "\n".join(lines)


def heading(title: str, line: str) -> list[str]:
    """Return the lines of a heading."""
    return [title, line * len(title), ""]


def module_page(title: str, module: ModuleType) -> str:
    """Return a page with the docstring of a module and the values of its numeric constants."""
    summary, _, rest = inspect.getdoc(module).partition("\n\n")
    lines = [*heading(title, "="), summary, "", rest, ""]
    constants = {
        name: value
        for name, value in vars(module).items()
        if name.startswith("MAX_") and isinstance(value, int)
    }
    if constants:
        lines += [*heading("Limits", "-"), ".. list-table::", "   :header-rows: 1", ""]
        lines += ["   * - constant", "     - value"]
        for name, value in constants.items():
            lines += [f"   * - ``{name}``", f"     - {value:,}"]
    return "\n".join([*lines, ""])
