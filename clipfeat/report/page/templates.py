"""Rendering of the package's templates. Values are escaped unless a template marks them as safe.

Besides HTML, control characters are escaped, such as marks that change the direction of text.
"""

from functools import cache
from typing import TYPE_CHECKING

from clipfeat.system.escaping import terminal_text

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Return a Jinja environment that escapes values and rejects undefined names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("clipfeat.report.page", "parts"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printable,
    )  # fmt: skip


def render(template: str, **values: object) -> str:
    """Render a template."""
    return environment().get_template(template).render(**values)


def _printable(value: object) -> object:
    """Replace control characters by escapes in a value that is no trusted markup."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return terminal_text(value)
    return value
