"""Answers to a request as JSON and CSV, with one row per image in the order of the request."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from clipfeat.model import Model
from clipfeat.serving.batching import Answer
from clipfeat.system.escaping import spreadsheet_csv

CSV = "text/csv; charset=utf-8"


class ImageAnswer(BaseModel):
    """Prediction for one image, or the reason why it has none."""

    name: str = Field(description="Name of the file, or the URL.")
    predicted: str | None = Field(
        description="The predicted class. Null if the image could not be predicted."
    )
    probabilities: dict[str, float] | None = Field(
        description="Probability of each class. Null if the image could not be predicted."
    )
    is_unsure: bool | None = Field(
        description="Whether the model abstains on this image. Null if the model never abstains or "
        "the image could not be predicted."
    )
    is_training: bool = Field(description="Whether the model was fitted on this image.")
    error: str | None = Field(
        description="Why the image, or a part of it, could not be predicted. Null without an error."
    )


class Answers(BaseModel):
    """Predictions for the images of a request, in the order of the request."""

    classes: list[str] = Field(description="Names of the classes.")
    threshold: float | None = Field(
        description="Decision threshold on the probability of the last class. Null predicts the "
        "class with the highest probability."
    )
    results: list[ImageAnswer]


class Refusal(BaseModel):
    """The reason why the server refused a request."""

    detail: str


def as_json(model: Model, names: Sequence[str], answers: Sequence[Answer]) -> dict[str, object]:
    """Return the answers as an object of the schema `Answers`."""
    return {
        "classes": list(model.classes),
        "threshold": model.threshold,
        "results": [
            {
                "name": name,
                "predicted": answer.predicted or None,
                "probabilities": dict(zip(model.classes, answer.probabilities, strict=True))
                if answer.probabilities
                else None,
                "is_unsure": answer.is_unsure,
                "is_training": answer.is_training,
                "error": answer.error or None,
            }
            for name, answer in zip(names, answers, strict=True)
        ],
    }


def as_csv(model: Model, names: Sequence[str], answers: Sequence[Answer]) -> str:
    """Return the answers as the table that ``clipfeat predict`` writes."""
    import pandas as pd

    table = pd.DataFrame(
        {"path": list(names), "predicted": [answer.predicted for answer in answers]}
    )
    if model.abstention_in_force is not None:
        table["unsure"] = pd.array([answer.is_unsure for answer in answers], dtype="boolean")
    for column, name in enumerate(model.classes):
        table[f"p_{name}"] = [
            answer.probabilities[column] if answer.probabilities else float("nan")
            for answer in answers
        ]
    table["error"] = [answer.error for answer in answers]
    return spreadsheet_csv(table)
