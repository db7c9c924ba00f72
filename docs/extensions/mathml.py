"""Formulas as MathML, which browsers display without downloading a script."""

from typing import Any

from latex2mathml.converter import convert
from sphinx.application import Sphinx


def visit_inline(writer: Any, node: Any) -> None:
    """Write a formula within a sentence."""
    writer.body.append(convert(node.astext()))


def visit_block(writer: Any, node: Any) -> None:
    """Write a formula on its own line."""
    writer.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')


def leave(writer: Any, node: Any) -> None:
    """Do nothing: the formula is complete."""


def skip_children(visit: Any) -> Any:
    """Return the visitor, followed by Sphinx's signal that the node is finished."""
    from docutils.nodes import SkipNode

    def visit_and_skip(writer: Any, node: Any) -> None:
        visit(writer, node)
        raise SkipNode

    return visit_and_skip


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer(
        "mathml", (skip_children(visit_inline), leave), (skip_children(visit_block), leave)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
