"""A page that documents the routes of an application.

Unlike FastAPI's own pages, it loads nothing from other hosts.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from clipfeat.web.pages import page_templates, render_page

TEMPLATES = "clipfeat.web"


def add_documentation(application: FastAPI) -> None:
    """Add the route ``/docs``, which describes all routes of the OpenAPI description."""

    @application.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        description = application.openapi()
        return render_page(
            page_templates(TEMPLATES),
            "documentation.html.j2",
            title=description["info"]["title"],
            summary=description["info"].get("summary", ""),
            operations=[
                _operation(method, path, about)
                for path, methods in description["paths"].items()
                for method, about in methods.items()
            ],
            schemas={
                name: {"paragraphs": _paragraphs(schema), "fields": _fields(schema)}
                for name, schema in description.get("components", {}).get("schemas", {}).items()
            },
        )


def _operation(method: str, path: str, about: dict[str, Any]) -> dict[str, Any]:
    body = about.get("requestBody", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": about.get("summary", ""),
        "paragraphs": _paragraphs(about),
        "parameters": [
            {"name": one["name"], "type": _type(one["schema"]), "paragraphs": _paragraphs(one)}
            for one in about.get("parameters", [])
        ],
        "body": {
            "paragraphs": _paragraphs(body),
            "kinds": {kind: _fields(of["schema"]) for kind, of in body.get("content", {}).items()},
        },
        "answers": [
            {
                "status": status,
                "paragraphs": _paragraphs(answer),
                "kinds": {kind: _type(of["schema"]) for kind, of in answer["content"].items()}
                if "content" in answer
                else {},
            }
            for status, answer in about.get("responses", {}).items()
        ],
    }


def _paragraphs(about: dict[str, Any]) -> list[str]:
    """Return the paragraphs of a description, without line breaks and backticks."""
    text = about.get("description", "").replace("`", "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part]


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """List the fields of an object with their types."""
    return [
        {"name": name, "type": _type(field), "paragraphs": _paragraphs(field)}
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    """Describe a JSON schema in words.

    Examples
    --------
    >>> _type({"type": "array", "items": {"type": "string", "format": "binary"}})
    'list of files'
    >>> _type({"anyOf": [{"$ref": "#/schemas/Health"}, {"type": "null"}]})
    'Health or null'
    """
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        return " or ".join(f'"{value}"' for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}s"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"object of {_type(values)}s"
    return "file" if schema.get("format") == "binary" else str(schema.get("type", "any value"))
