"""The section with the settings and the data of the benchmark."""

from collections.abc import Mapping
from typing import Any

from clipfeat.evaluate.result import Benchmark
from clipfeat.features.label_text import count_texts
from clipfeat.report.page.section import Section, Table


def details_section(run: Benchmark) -> Section:
    """List the call, protocol, data, encoders and versions, as far as the run recorded them."""
    about = run.about
    listing = {
        "protocol": about.get("protocol"),
        "seed": about.get("seed"),
        "images": _images(about, len(run.y)),
        "images per class": _counts(about.get("per_class")),
        "positive class": about.get("positive"),
        "groups": _groups(about),
        "entries": ", ".join(run.entries),
        "calibration": _unless(about.get("calibrate"), "none"),
        "bagged models": about.get("bag") or None,
        "balancing": _unless(about.get("balance") or None, "none"),
        "threshold chosen by": about.get("threshold_by"),
        "tuned": ", ".join(about.get("tuned") or {}) or None,
        "fits on": _acceleration(about.get("acceleration")),
        "data fingerprint": about.get("data_fingerprint"),
        "seconds": f"{about['seconds']:,.0f}" if about.get("seconds") is not None else None,
        **{f"encoder {i}" if len(run.specs) > 1 else "encoder":
           f"{spec.title}{', UNTRAINED' if spec.untrained else ''} · fingerprint {spec.fingerprint}"
           for i, spec in enumerate(run.specs, 1)},
    }  # fmt: skip
    versions = about.get("versions") or {}
    return Section(
        "details",
        "Details of the run",
        listing={name: str(value) for name, value in listing.items() if value not in (None, "")},
        code=str(about.get("command") or ""),
        table=Table(["package", "version"], [[str(k), str(v)] for k, v in versions.items()])
        if versions
        else None,
    )


def _images(about: Mapping[str, Any], n: int) -> str:
    n_unlabelled = about.get("unlabelled") or 0
    text = f"{about.get('images', n):,}"
    return f"{text}, and {n_unlabelled:,} without a label" if n_unlabelled else text


def _counts(counts: Mapping[str, int] | None) -> str | None:
    return ", ".join(count_texts(counts, "{:,}")) if counts else None


def _groups(about: Mapping[str, Any]) -> str | None:
    n = about.get("groups")
    if n is None:
        return None
    return f"{n:,}, each in one fold" if about.get("grouped") else f"{n:,} of identical images"


def _acceleration(record: Mapping[str, str] | None) -> str | None:
    return ", ".join(record.values()) if record else None


def _unless(value: object, default: str) -> object:
    return None if value == default else value
