"""What was run, and on what."""

from collections.abc import Mapping
from typing import Any

from clipfeat.evaluate.result import Benchmark
from clipfeat.report.page.section import Section, Table


def setting_section(run: Benchmark) -> Section:
    """Command, protocol, data, encoders and versions, as far as they were recorded."""
    about = run.about
    listing = {
        "protocol": about.get("protocol"),
        "seed": about.get("seed"),
        "images": _images(about, len(run.y)),
        "of each class": _counted(about.get("per_class")),
        "groups": _groups(about),
        "entries": ", ".join(run.entries),
        "calibrated by": _unless(about.get("calibrate"), "none"),
        "bags": about.get("bag") or None,
        "balanced by": about.get("balance") or None,
        "threshold by": about.get("threshold_by"),
        "tuned": ", ".join(about.get("tuned") or {}) or None,
        "seconds": f"{about['seconds']:,.0f}" if about.get("seconds") is not None else None,
        **{f"encoder {i}" if len(run.specs) > 1 else "encoder":
           f"{spec.title}{', UNTRAINED' if spec.untrained else ''} · fingerprint {spec.fingerprint}"
           for i, spec in enumerate(run.specs, 1)},
    }  # fmt: skip
    versions = about.get("versions") or {}
    return Section(
        "setting",
        "What was run, and on what",
        listing={name: str(value) for name, value in listing.items() if value not in (None, "")},
        code=str(about.get("command") or ""),
        table=Table(["package", "version"], [[str(k), str(v)] for k, v in versions.items()])
        if versions
        else None,
    )


def _images(about: Mapping[str, Any], n: int) -> str:
    without = about.get("unlabelled") or 0
    return f"{about.get('images', n):,}" + (f", and {without:,} without a label" if without else "")


def _counted(counts: Mapping[str, int] | None) -> str | None:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) if counts else None


def _groups(about: Mapping[str, Any]) -> str | None:
    n = about.get("groups")
    if n is None:
        return None
    return f"{n:,}, never parted" if about.get("grouped") else f"{n:,} of equal images"


def _unless(value: object, ordinary: str) -> object:
    return None if value == ordinary else value
