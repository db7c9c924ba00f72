"""Templates of the package; whatever is put into one is text, never markup, unless it says so."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Jinja's, with escaping on and unknown names refused."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("clipfeat.report.page", "parts"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def render(template: str, **values: object) -> str:
    """Fill a template in.

    A lone surrogate, as a path of undecodable bytes has, becomes a question mark: UTF-8 has none.
    """
    text = environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")
