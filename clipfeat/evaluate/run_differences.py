"""Differences between the options and the data of runs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clipfeat.evaluate.result import Benchmark

MISSING = "–"


def option_differences(runs: Mapping[str, Benchmark]) -> dict[str, list[str]]:
    """Return the options that differ between runs.

    Parameters
    ----------
    runs : mapping of str to Benchmark
        Runs by name. Their ``about["options"]`` hold the options.

    Returns
    -------
    dict of str to list of str
        For each option that differs, its value in each run. The encoders, the acceleration and the
        versions of libraries are included. An option that a run did not record has the value
        `MISSING`.
    """
    recorded = [_settings(run) for run in runs.values()]
    names = dict.fromkeys(name for of_run in recorded for name in of_run)
    values = {name: [_text(of_run, name) for of_run in recorded] for name in names}
    return {name: of_runs for name, of_runs in values.items() if len(set(of_runs)) > 1}


def data_notes(runs: Mapping[str, Benchmark]) -> list[str]:
    """State whether the runs used the same images, labels and groups."""
    of_run = {name: run.about.get("data_fingerprint") for name, run in runs.items()}
    unknown = [name for name, fingerprint in of_run.items() if fingerprint is None]
    if unknown:
        return [
            f"The data of {', '.join(unknown)} are not recorded, so they may differ. Run these "
            "benchmarks again to record them."
        ]
    if len(set(of_run.values())) == 1:
        return []
    listed = ", ".join(f"{name} {str(value)[:8]}" for name, value in of_run.items())
    return [
        f"The runs used DIFFERENT DATA: their images, labels or groups differ (fingerprints "
        f"{listed}). Their differences may be due to the training data."
    ]


def _settings(run: Benchmark) -> dict[str, Any]:
    about = run.about
    versions = {f"version of {k}": v for k, v in about.get("versions", {}).items()}
    acceleration = {f"acceleration, {k}": v for k, v in about.get("acceleration", {}).items()}
    encoders = [f"{spec.title} ({spec.fingerprint[:8]})" for spec in run.specs]
    return {
        **about.get("options", {}), "encoders": encoders, **acceleration, **versions,
    }  # fmt: skip


def _text(options: Mapping[str, Any], name: str) -> str:
    if name not in options:
        return MISSING
    value = options[name]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
