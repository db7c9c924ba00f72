"""The parts of the page as HTML, each rendered from the bytes of an image.

The verdict comes first, and then the other parts, one after the other.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import inf
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from clipfeat.errors import ClipfeatError
from clipfeat.features import FeatureSet
from clipfeat.images.formats import image_suffixes
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.model import Model
from clipfeat.serving.encoding import ModelEncoders
from clipfeat.serving.file_facts import FACTS, file_facts
from clipfeat.serving.occlusion import CELLS, OcclusionMap, occlusion_map, occlusion_views
from clipfeat.serving.pictures import FULL_CHANGE, data_address, map_picture, preview
from clipfeat.serving.provenance import MANIFESTS, file_manifest
from clipfeat.serving.training_images import TrainingImages
from clipfeat.serving.verdict import CHANGED_VIEWS, Verdict, changes_of, verdict_on
from clipfeat.spec import titles
from clipfeat.web.pages import page_templates

MAX_CLASSES = 5
"""Maximum number of classes whose probabilities are shown."""
SLOW_SECONDS = 30.0
"""If an occlusion map is estimated to take longer, it is computed only on request."""
NO_INFLUENCE = 0.005
"""Smallest change of a probability that an occlusion map describes."""

VERDICT, FILE, CHANGES, NEIGHBOURS, OCCLUSION = (
    "verdict", "facts", "changes", "neighbours", "occlusion",
)  # fmt: skip
"""Names of the parts, in the order in which they are sent."""

Html = str


@dataclass(eq=False)
class PageImage:
    """An image of the page, with what several parts use.

    Parameters
    ----------
    name : str
        Name of the file.
    data : bytes
        The file.
    features : FeatureSet, optional
        Features of the image, from the first part that needs them.
    has_verdict : bool
        Whether there is a verdict on the image.
    """

    name: str
    data: bytes
    features: FeatureSet | None = None
    has_verdict: bool = False


Maker = Callable[[PageImage], Html]


class PageParts:
    """The parts of the page for one model.

    The object is a context manager. On exit, it ends the child processes that read the facts about
    files. Several threads may use the object concurrently.

    Parameters
    ----------
    model : Model
        The model.
    encoders : ModelEncoders
        The encoders of the model.
    training : TrainingImages, optional
        The images that the model was fitted on.
    """

    def __init__(
        self, model: Model, encoders: ModelEncoders, training: TrainingImages | None = None
    ) -> None:
        self.model = model
        self._encoders = encoders
        self._training = training
        self._decoder = encoders.decoder
        self._facts, self._manifests = IsolatedDecoder(FACTS), IsolatedDecoder(MANIFESTS)
        self._processes = ExitStack()
        self._templates = page_templates("clipfeat.serving")
        self.makers: Mapping[str, Maker] = {
            VERDICT: self.verdict, CHANGES: self.changes, FILE: self.facts,
            OCCLUSION: self.occlusion, NEIGHBOURS: self.neighbours,
        }  # fmt: skip
        # The time of the fastest verdict so far. The first verdicts take longer than later ones.
        self._seconds = inf

    def __enter__(self) -> Self:
        self._processes.enter_context(self._facts)
        self._processes.enter_context(self._manifests)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._processes.close()

    def page(self, max_bytes: int, *, keeps_images: bool) -> Html:
        """Render the page without an image.

        Parameters
        ----------
        max_bytes : int
            Maximum size of an image file, so that the page does not send larger ones.
        keeps_images : bool
            Whether the server stores the images. The page informs its users about this.
        """
        return self._render(
            "verdict_page.html.j2",
            question=question(self.model.classes),
            description=_description(self.model),
            suffixes=",".join(sorted(image_suffixes())),
            max_bytes=max_bytes,
            keeps_images=keeps_images,
        )

    def further_parts(self) -> list[str]:
        """Return the names of the parts that follow a verdict, quick ones first."""
        is_scaled = any(spec.is_scaled for spec in self.model.specs)
        parts = [FILE]
        if not is_scaled:
            parts.append(CHANGES)
        if self._training is not None:
            parts.append(NEIGHBOURS)
        if self._has_map and not self._is_slow:
            parts.append(OCCLUSION)
        return parts

    @property
    def _has_map(self) -> bool:
        return not any(spec.faces or spec.is_scaled for spec in self.model.specs)

    @property
    def _is_slow(self) -> bool:
        return self._seconds * CELLS > SLOW_SECONDS

    def verdict(self, image: PageImage) -> Html:
        """Render the verdict, the probabilities of the members and a picture of the image."""
        name = image.name
        try:
            start = perf_counter()
            verdict = verdict_on(self.model, self._features(image))
            self._seconds = min(self._seconds, perf_counter() - start)
            picture = preview(image.data, self._decoder)
        except ClipfeatError as error:
            return self.problem(name, str(error))
        image.has_verdict = True
        further = self.further_parts()
        shown = sorted(verdict.probabilities.items(), key=lambda item: -item[1])[:MAX_CLASSES]
        return self._render(
            "verdict.html.j2",
            name=name,
            verdict=verdict,
            row=_row(name, verdict),
            classes=[(one, p, _mark(self.model, one)) for one, p in shown],
            member_mark=_member_mark(self.model, verdict.predicted),
            n_more=len(verdict.probabilities) - len(shown),
            rule=_rule(self.model),
            picture=data_address(picture),
            size=picture.size,
            has_map=self._has_map,
            is_slow=OCCLUSION not in further,
            has_changes=CHANGES in further,
            has_neighbours=NEIGHBOURS in further,
        )

    def changes(self, image: PageImage) -> Html:
        """Render how degradations of the image change the verdict."""
        features = self._encoders.features("image", image.data, CHANGED_VIEWS)
        return self._render("changes.html.j2", changes=changes_of(self.model, features))

    def occlusion(self, image: PageImage) -> Html:
        """Render the occlusion map."""
        with self._decoder.decoded(image.data) as decoded:
            height, width = decoded.size
        views = occlusion_views(width, height)
        features = self._encoders.features("image", image.data, views)
        occlusion = occlusion_map(self.model, features, width, height)
        picture = map_picture(preview(image.data, self._decoder), occlusion)
        return self._render(
            "occlusion.html.j2",
            picture=data_address(picture),
            size=picture.size,
            text=_map_text(occlusion),
            full_points=100 * max(occlusion.largest, FULL_CHANGE),
            has_influence=occlusion.largest >= NO_INFLUENCE,
        )

    def neighbours(self, image: PageImage) -> Html:
        """Render the nearest training images."""
        if self._training is None:
            return ""
        features = self._features(image)
        verdict = verdict_on(self.model, features)
        near = self._training.neighbours(features)
        return self._render(
            "neighbours.html.j2",
            predicted=verdict.predicted,
            neighbours=near,
            pictures=self._training.pictures([one.path for one in near], self._decoder),
            n_same=sum(one.label == verdict.predicted for one in near),
        )

    def facts(self, image: PageImage) -> Html:
        """Render the facts about the file, including its C2PA manifest."""
        facts = file_facts(image.data, self._facts)
        manifest, problem = None, ""
        try:
            manifest = file_manifest(image.data, self._manifests)
        except ClipfeatError as error:
            problem = str(error)
        return self._render(
            "facts.html.j2",
            facts=facts,
            manifest=manifest,
            problem=problem,
            source_types=[*facts.source_types, *(manifest.source_types if manifest else ())],
        )

    def problem(self, name: str, message: str) -> Html:
        """Render the error of an image in place of its verdict."""
        row = json.dumps({"path": name, "error": message})
        return self._render("problem.html.j2", name=name, message=message, row=row)

    def _features(self, image: PageImage) -> FeatureSet:
        if image.features is None:
            image.features = self._encoders.features("image", image.data)
        return image.features

    def _render(self, template: str, **values: Any) -> Html:
        return self._templates.get_template(template).render(**values)


def question(classes: tuple[str, ...]) -> str:
    """Return the question that a model answers.

    Examples
    --------
    >>> question(("real", "fake")), question(("a", "b", "c", "d"))
    ('real or fake?', 'Which of 4 classes?')
    """
    return f"{' or '.join(classes)}?" if len(classes) < 4 else f"Which of {len(classes)} classes?"


def _description(model: Model) -> str:
    n = len(model.training_keys)
    fitted = f", fitted on {n:,} images" if n else ""
    members = " + ".join(model.members)
    return f"{' + '.join(titles(model.specs))}; {members or 'one classifier'}{fitted}."


def _rule(model: Model) -> str:
    """Describe how the probabilities lead to the verdict."""
    if model.threshold is None:
        rule = "The class with the highest probability is predicted."
    else:
        rule = (
            f"{model.classes[-1]} is predicted if its probability is above "
            f"{100 * model.threshold:.4g} %."
        )
    if model.abstention_in_force is None:
        return rule
    return (
        f"{rule} The verdict is unsure unless the predicted class is the only plausible one at "
        f"the level {100 * model.abstention_in_force.level:.4g} %."
    )


def _mark(model: Model, name: str) -> float | None:
    """Return the threshold on the probability of a class, or None if there is none."""
    return model.threshold if name == model.classes[-1] else None


def _member_mark(model: Model, predicted: str) -> float | None:
    """Return the probability of the predicted class at which a member changes its prediction."""
    if model.threshold is None:
        return None
    return model.threshold if predicted == model.classes[-1] else 1 - model.threshold


def _row(name: str, verdict: Verdict) -> str:
    """Return the row of an image in the page's table of the session, as JSON.

    The table has the same columns as the one that ``clipfeat predict`` writes.
    """
    unsure = {} if verdict.plausible is None else {"unsure": verdict.is_unsure}
    of_class = {f"p_{one}": p for one, p in verdict.probabilities.items()}
    row = {"path": name, "predicted": verdict.predicted, **unsure, **of_class, "error": ""}
    return json.dumps(row)


def _map_text(occlusion: OcclusionMap) -> str:
    if occlusion.largest < NO_INFLUENCE:
        return (
            "No single region matters: covering one changes the probability of "
            f"{occlusion.predicted} by less than {100 * NO_INFLUENCE:g} percentage points."
        )
    drop = 100 * float(occlusion.drops.max())
    if drop < 100 * NO_INFLUENCE:
        return (
            f"No region supports {occlusion.predicted}. Covering a purple region makes it likelier."
        )
    return (
        f"Covering the {occlusion.strongest_place} of the image reduces the probability of "
        f"{occlusion.predicted} most, by {drop:.1f} percentage points."
    )
