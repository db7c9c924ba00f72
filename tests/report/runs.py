"""Simulated runs with random probabilities, scored like those of a benchmark."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clipfeat.evaluate.metrics import score
from clipfeat.evaluate.plan import Plan
from clipfeat.evaluate.protocols import KFold
from clipfeat.evaluate.result import Benchmark, Outcome
from clipfeat.features import FeatureSet
from tests.conftest import make_features

GENERATORS = ("SDXL", "Midjourney", "FLUX")


def with_generators(n_per_class: int = 60, **more: object) -> FeatureSet:
    """Make features of photographs and of images from three generators."""
    features = make_features(n_per_class, **more)  # type: ignore[arg-type]
    made = np.array(GENERATORS)[np.arange(len(features)) % len(GENERATORS)]
    return replace(
        features, columns={"generator": np.where(features.y == 0, "", made).astype(np.str_)}
    )


def make_run(
    features: FeatureSet,
    plan: Plan | None = None,
    skills: Mapping[str, float] | None = None,
    thresholds: bool = False,
    **about: object,
) -> Benchmark:
    """Simulate entries. More skill means less noise in the probabilities of the true class."""
    plan = plan or KFold().plan(features)
    skills = skills or {"svm": 2.0, "logreg": 1.0, "soft vote": 1.8, "dummy": 0.0}
    truth = np.eye(len(features.classes))[features.y]
    outcomes, rows = [], []
    for number, trial in enumerate(plan.trials):
        rng = np.random.default_rng(number)
        fold = np.full(len(features), -1)
        for i, (_, test) in enumerate(trial.splits.values()):
            fold[test] = i
        more = 1.0 if trial.n_train is None else np.log10(trial.n_train + 1) / 2
        p = {}
        for entry, skill in skills.items():
            logits = skill * more * truth + rng.normal(size=truth.shape) * (skill > 0)
            p[entry] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            p[entry][fold < 0] = np.nan
        cuts = {e: [0.4 + 0.02 * i for i in range(len(trial.splits))] for e in p}
        outcome = Outcome(trial, fold, p, cuts if thresholds else {})
        outcomes.append(outcome)
        rows += _rows(features, outcome)
    counts = np.bincount(features.y, minlength=len(features.classes)).tolist()
    recorded = {
        "protocol": plan.name, "column": plan.column, "seed": 0, "images": len(features),
        "groups": None, "grouped": False, "seconds": 1.5, "votes": {}, "voters": list(skills),
        "per_class": dict(zip(features.classes, counts, strict=True)),
    }  # fmt: skip
    return Benchmark(
        rows, outcomes, features.y, features.classes, features.paths, features.specs,
        features.files, features.keys, features.groups, features.columns, {}, {**recorded, **about},
    )  # fmt: skip


def _rows(features: FeatureSet, outcome: Outcome) -> list[dict[str, object]]:
    trial, rows = outcome.trial, []
    for entry, p in outcome.probabilities.items():
        for number, fold in enumerate(trial.splits):
            for part, mask in (trial.tested_on or {"": np.ones(len(features), bool)}).items():
                here = (outcome.fold == number) & mask
                cut = outcome.thresholds[entry][number] if outcome.thresholds else None
                values = {**score(features.y[here], p[here], cut), "fit_seconds": 0.25}
                if cut is not None:
                    values["balanced_accuracy_at_oracle"] = values["balanced_accuracy"] + 0.01
                rows += [
                    {"encoder": "spectrum", "classifier": entry, "seed": trial.seed,
                     "trained_on": trial.trained_on, "n_train": trial.n_train, "fold": fold,
                     "tested_on": part, "metric": metric, "value": value, "seconds": 0.3}
                    for metric, value in values.items()
                ]  # fmt: skip
    return rows
