"""A page that documents the routes of an application, without scripts and other hosts.

FastAPI's own pages load their scripts from another host.
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
            schemas=description.get("components", {}).get("schemas", {}),
        )


def _operation(method: str, path: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": method.upper(),
        "path": path,
        "summary": about.get("summary", ""),
        "description": about.get("description", ""),
        "parameters": about.get("parameters", []),
        "body": about.get("requestBody", {}),
        "answers": [
            {
                "status": status,
                "description": answer.get("description", ""),
                "kinds": [
                    (kind, _schema_name(content.get("schema", {})))
                    for kind, content in answer.get("content", {}).items()
                ],
            }
            for status, answer in about.get("responses", {}).items()
        ],
    }


def _schema_name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
