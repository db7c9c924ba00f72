"""``clipfeat info``."""

from pathlib import Path

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def info(file: options.AnyFile, failures: options.AllFailures = False) -> None:
    """Show the contents of a feature file, model or run folder.

    A run folder is a folder that `clipfeat benchmark -o` or `clipfeat train -o` wrote.

    Example: clipfeat info out.h5
    """
    import zipfile

    from clipfeat.errors import RefusedFileError

    if file.is_dir():
        from clipfeat.report.run_folder import RUN, run_folder

        folder = run_folder(file)
        if (folder / RUN).is_file():
            _print_run(folder)
            return
        raise RefusedFileError(
            f"{file} is a folder without a benchmark run. Give a feature file, a model file or a "
            "run folder."
        )
    if file.is_file() and zipfile.is_zipfile(file):
        _print_model(file)
    else:
        _print_features(file, failures)


def _print_features(file: Path, all_failures: bool) -> None:
    from collections import Counter

    from clipfeat.cli.console import print_facts, print_list
    from clipfeat.features import order_classes
    from clipfeat.features.classes import positive_class
    from clipfeat.store import library_versions, open_stored, provenance

    with open_stored(file) as stored:
        stored.spec.warn_if_untrained(file)
        labels = Counter(stored.strings("labels").tolist())
        groups = set(stored.strings("groups").tolist()) - {""}
        shards = stored.generation.shards if stored.generation else ()
        print_facts(
            {
                "feature file": stored.path,
                "rows": stored.n_rows,
                "features": f"{stored.spec.n_features}, {stored.files[0].dtype}",
                "encoder": stored.spec.title,
                "layer": stored.spec.layer,
                "fingerprint": stored.spec.fingerprint,
                "labels": ", ".join(
                    f"{label or '(none)'} {labels[label]}" for label in sorted(labels)
                ),
                "positive class": positive_class(order_classes(set(labels) - {""})),
                "groups": len(groups),
                "columns": ", ".join(stored.column_names),
                "root": stored.newest.text("root"),
                "complete": bool(stored.newest.h5.attrs.get("complete")),
                "shards": len(shards) or None,
                "unmerged parts": len(stored.parts) or None,
                "libraries": _pairs(library_versions(stored)),
                "made by": _pairs(provenance(stored)),
                "failed images": len(stored.failures),
            }
        )
        if stored.failures:
            lines = [f"{f.path}: {f.reason}: {f.message}" for f in stored.failures]
            print_list(lines, limit=len(lines) if all_failures else 10)


def _print_model(file: Path) -> None:
    from clipfeat.cli.console import print_facts, print_leaderboard
    from clipfeat.evaluate.leaderboard import Leaderboard
    from clipfeat.features.classes import positive_class, positive_title
    from clipfeat.model import load_model
    from clipfeat.report import model_remarks

    model = load_model(file)
    about = dict(model.about)
    libraries = about.pop("libraries", {})
    for name in ("positive", "positive_by"):
        about.pop(name, None)
    print_facts(
        {
            "model file": file,
            "members": ", ".join(model.members),
            "classes": ", ".join(model.classes),
            "positive class": positive_class(model.classes),
            "encoders": ", ".join(spec.title for spec in model.specs),
            "fingerprints": ", ".join(spec.fingerprint for spec in model.specs),
            "fitted on": _pairs(
                {name: value for name, value in about.items() if not isinstance(value, dict)}
            ),
            "libraries": _pairs(libraries),
        }
    )
    for line in model_remarks(model):
        print_line(line)
    if model.scores:
        title = f"{about.get('cv', '?')}-fold cross-validation{positive_title(model.classes)}"
        print_leaderboard(Leaderboard.from_rows(model.scores), title)


def _print_run(folder: Path) -> None:
    from clipfeat.cli.console import print_facts, print_leaderboard
    from clipfeat.features.classes import positive_class, positive_title
    from clipfeat.report import load_run, remarks

    run = load_run(folder)
    about = run.about
    board = run.leaderboard()
    print_facts(
        {
            "run folder": folder,
            "classes": ", ".join(run.classes),
            "positive class": positive_class(run.classes),
            "encoders": ", ".join(spec.title for spec in run.specs),
            "fingerprints": ", ".join(spec.fingerprint for spec in run.specs),
            "data fingerprint": about.get("data_fingerprint"),
            "command": about.get("command"),
            "options": _pairs(about.get("options", {})),
            "acceleration": _pairs(about.get("acceleration", {})),
            "libraries": _pairs({k: v for k, v in about.get("versions", {}).items() if v}),
        }
    )
    title = f"{about.get('protocol')} on {about.get('images')} images"
    print_leaderboard(board, f"{title}{positive_title(run.classes)}")
    for line in remarks(run, board):
        print_line(line)


def _pairs(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
