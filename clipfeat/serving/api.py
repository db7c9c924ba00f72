"""Routes of the HTTP API: predictions, the model, and the state of the server."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from clipfeat.features.classes import positive_class
from clipfeat.serving.answers import CSV, Answers, Refusal, as_csv, as_json
from clipfeat.serving.batching import Answer
from clipfeat.serving.server import Serving, counting_status, serving_of
from clipfeat.serving.uploads import FILES, FORM, JSON, MAX_TEXT, URLS, Upload, read_uploads

router = APIRouter(tags=["predictions"])
State = Annotated[Serving, Depends(serving_of)]

FILE_LIST = {"type": "array", "items": {"type": "string", "format": "binary"}}
URL_LIST = {
    "type": "array", "items": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
}  # fmt: skip
ONE = {"minItems": 1}
BODY = {
    "required": True,
    "description": "Image files, or URLs if the server was started with --allow-remote.",
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {FILES: FILE_LIST, URLS: URL_LIST},
                # A form has no empty lists, so a list that is not sent and an empty one are equal.
                "anyOf": [
                    {"required": [name], "properties": {name: ONE}} for name in (FILES, URLS)
                ],
            }
        },
        JSON: {
            "schema": {
                "type": "object", "required": [URLS], "properties": {URLS: URL_LIST | ONE},
            }
        },
    },
}  # fmt: skip
REFUSALS: Mapping[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The request is not valid HTTP or not valid UTF-8."},
    401: {"model": Refusal, "description": "The token is missing or wrong."},
    403: {
        "model": Refusal,
        "description": "The request has URLs, which this server does not download, or it comes "
        "from another origin.",
    },
    408: {"model": Refusal, "description": "The request took too long to arrive."},
    413: {"model": Refusal, "description": "The request has too many bytes or images."},
    415: {"model": Refusal, "description": "The body is neither a form nor JSON."},
    421: {"model": Refusal, "description": "The Host header does not name this server."},
    422: {"description": "The request is malformed or has no images."},
    429: {
        "model": Refusal,
        "description": "The queue is full.",
        "headers": {
            "Retry-After": {
                "description": "Estimated seconds until the queue has space.",
                "schema": {"type": "integer"},
            }
        },
    },
    503: {"model": Refusal, "description": "The server has too many connections or a full disk."},
}


@router.post(
    "/predict",
    summary="Predict the classes of images",
    response_model=Answers,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **REFUSALS},
    openapi_extra={"requestBody": BODY},
)
async def predict(
    request: Request,
    serving: State,
    format: Annotated[
        Literal["json", "csv"] | None,
        Query(description="Format of the answer. The default follows the Accept header."),
    ] = None,
) -> Response:
    """Return one result for each image, in the order of the request.

    The result of an unreadable image holds the error. The probabilities and the columns of the CSV
    are the same as those of `clipfeat predict`. In the CSV, an apostrophe precedes each text that a
    spreadsheet would run as a formula.

    Example: curl -F files=@image.jpg http://127.0.0.1:8000/predict
    """
    begun = time.monotonic()
    answers = list[Answer]()

    def count(status: int) -> None:
        serving.metrics.count(status, time.monotonic() - begun, answers)

    with counting_status(count):
        uploads, answers = await _predict(request, serving)
    names = [upload.name for upload in uploads]
    if format == "csv" or (format is None and _prefers_csv(request)):
        return PlainTextResponse(as_csv(serving.model, names, answers), media_type=CSV)
    return JSONResponse(as_json(serving.model, names, answers))


async def _predict(request: Request, serving: Serving) -> tuple[Sequence[Upload], list[Answer]]:
    serving.batcher.check_space()  # before the body is read
    with serving.holding() as hold:
        uploads = await read_uploads(request, serving.limits, hold)
        has_urls = any(upload.is_url for upload in uploads)
        if has_urls and not serving.allow_remote:
            raise HTTPException(
                403, "this server does not download images. Send the files, or start the "
                "server with --allow-remote"
            )  # fmt: skip
        with serving.batcher.reserved(len(uploads)) as places:  # before anything is downloaded
            if has_urls:
                uploads = await serving.downloaded(uploads, hold)
            return uploads, await serving.answers(uploads, places)


def _prefers_csv(request: Request) -> bool:
    """Return whether CSV comes before JSON and before ``*/*`` in the Accept header."""
    kinds = [
        kind.partition(";")[0].strip() for kind in request.headers.get("accept", "").split(",")
    ]
    named = [kind for kind in kinds if kind in {"text/csv", "application/json", "*/*"}]
    return named[:1] == ["text/csv"]


class EncoderFacts(BaseModel):
    """An encoder of the model."""

    name: str
    fingerprint: str = Field(description="Hash of everything that changes the features.")
    image_size: list[int] = Field(description="Height and width of the input in pixels.")
    precision: str
    n_features: int


class ModelFacts(BaseModel):
    """The model of this server."""

    classes: list[str]
    positive: str | None = Field(description="The positive class, if there are two classes.")
    threshold: float | None
    classifiers: list[str] = Field(description="Members of the vote, or the only classifier.")
    encoders: list[EncoderFacts]
    n_training_images: int
    is_adapted: bool = Field(description="Whether the model was adapted to a domain.")
    allows_urls: bool = Field(description="Whether /predict accepts URLs.")
    max_files: int = Field(description="Maximum number of images in a request.")
    max_file_bytes: int
    max_request_bytes: int
    max_pixels: int


@router.get("/model", summary="Describe the model and the limits")
def model(serving: State) -> ModelFacts:
    """Return the classes, the encoders and the classifiers of the model, and the limits."""
    fitted, limits = serving.model, serving.limits
    return ModelFacts(
        classes=list(fitted.classes),
        positive=positive_class(fitted.classes),
        threshold=fitted.threshold,
        classifiers=list(fitted.members),
        encoders=[
            EncoderFacts(
                name=spec.name,
                fingerprint=spec.fingerprint,
                image_size=list(spec.input_size),
                precision=spec.precision,
                n_features=spec.n_features,
            )
            for spec in fitted.specs
        ],
        n_training_images=len(fitted.training_keys),
        is_adapted=fitted.adaptation is not None,
        allows_urls=serving.allow_remote,
        max_files=limits.max_files,
        max_file_bytes=limits.file_bytes,
        max_request_bytes=limits.request_bytes,
        max_pixels=limits.pixels,
    )


class Health(BaseModel):
    """State of the server."""

    status: Literal["ok"]
    queued: int = Field(description="Number of images that are waiting or being processed.")


@router.get("/health", summary="Check that the server answers")
async def health(serving: State) -> Health:
    """Return the state of the server. This route needs no token."""
    return Health(status="ok", queued=serving.batcher.n_queued)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
)
async def metrics(serving: State) -> PlainTextResponse:
    """Return counters of requests and images, times, and the length of the queue."""
    return PlainTextResponse(
        serving.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8"
    )
