"""``clipfeat export``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def export(
    file: options.FeaturesOrModel,
    output: options.ExportFile,
    export_format: options.ExportFormat = None,
    images: options.BrowsedImages = None,
    run: options.ExportedRun = None,
    check: options.CheckedImages = None,
    weights: options.WeightsFiles = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Export features or a model for other programs.

    A feature file is exported as a table with the path, content hash (key), label and group of each
    image, all other columns of the feature file, and the features. With --format, it is exported
    in the format of another program, with its images and the out-of-fold predictions of --run.

    If the output path ends in .onnx, a model is exported as a graph with its encoders and its
    classifier. The graph maps the pixels of resized images to probabilities. Its metadata holds the
    classes and the preprocessing.
    The command compares the probabilities of the graph with those of the model, and writes nothing
    if any probability differs by more than 1e-4.

    If the output path has no suffix, a model is exported as a folder with a web page that
    classifies images in the browser. The page works on any static web host, and makes no requests
    to other hosts.

    If the output path ends in .skops, the fitted estimator of the model is exported. The checks
    of skops do not stop every file that runs code when it is loaded. Load only .skops files whose
    author you trust.

    Example: clipfeat export model.clipfeat -o model.onnx --check images/
    """
    import zipfile

    from clipfeat.model.format import MODEL_NAME

    of_features = {"--format": export_format, "--images": images, "--run": run}
    of_models = {"--check": check, "--weights": weights}
    is_model = file.suffix == ".clipfeat" or (file / MODEL_NAME).is_file()
    if is_model or (file.is_file() and zipfile.is_zipfile(file)):
        _refuse("the export of a model", of_features)
        print_line(_export_model(file, output, overwrite, check, weights or [], progress))
        return
    _refuse("the export of a feature file", of_models)
    if export_format is None:
        _refuse("a table", {"--images": images, "--run": run})
        print_line(_export_table(file, output, overwrite, progress))
        return
    from clipfeat.cli.console import counted
    from clipfeat.exporting.handoff import hand_off

    done = hand_off(
        file, output, export_format, images=images or [], run=run, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip
    print_line(f"{output}: {counted(done.n_rows, 'row')}, {counted(done.n_images, 'image')}")
    print_line(f"next: {done.next_step}")


def _export_table(file: Path, output: Path, overwrite: bool, progress: bool) -> str:
    """Export a feature file as a table, and return a line about it."""
    from clipfeat.cli.console import counted
    from clipfeat.store import export as run
    from clipfeat.system.locations import location

    n_rows = run(file, output, overwrite=overwrite, progress=progress)
    written = location(output)
    return f"{written}: {counted(n_rows, 'row')}, {written.stat().st_size:,} bytes"


def _export_model(
    file: Path, output: Path, overwrite: bool, check: str | None, weights: list[Path],
    progress: bool,
) -> str:  # fmt: skip
    """Export a model in the format of the output's suffix, and return a line about it."""
    from clipfeat.cli.outputs import check_file
    from clipfeat.errors import UsageError

    suffix = output.suffix.lower()
    options: Any = {"check": check, "weights": weights, "progress": progress}
    if suffix == ".onnx":
        from clipfeat.exporting.onnx_model import export_onnx

        check_file(output, overwrite=overwrite)
        agreement = export_onnx(file, output, overwrite=overwrite, **options)
        return f"{output}: {output.stat().st_size:,} bytes. {_sentence(agreement)}"
    if suffix == ".skops":
        from clipfeat.model import load_model
        from clipfeat.model.exporting import export_estimator

        _refuse("a .skops file", {"--check": check, "--weights": weights})
        exported = export_estimator(file, output, overwrite=overwrite)
        codes = ", ".join(f"{i} for {name}" for i, name in enumerate(load_model(file).classes))
        return f"{exported}: {exported.stat().st_size:,} bytes, predicts {codes}"
    if not suffix:
        from clipfeat.exporting.site import export_site

        agreement = export_site(file, output, overwrite=overwrite, **options)
        return f"{output / 'index.html'}: a page. {_sentence(agreement)}"
    raise UsageError(
        f"a model is exported to an .onnx or a .skops file, or to a folder, got {output}. Use -o "
        "model.onnx, -o model.skops or -o site"
    )


def _sentence(text: object) -> str:
    """Capitalise the first letter of a text, and leave all other letters unchanged."""
    return str(text)[:1].upper() + str(text)[1:]


def _refuse(what: str, given: Mapping[str, object]) -> None:
    """Raise `UsageError` for the first given option that does not apply to this export."""
    from clipfeat.errors import UsageError

    for flag, value in given.items():
        if value:
            raise UsageError(f"{what} does not take {flag}. Leave it out")
