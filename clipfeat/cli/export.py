"""``clipfeat export``."""

from pathlib import Path
from typing import Any

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def export(
    file: options.FeaturesOrModel,
    output: options.ExportFile,
    check: options.CheckedImages = None,
    weights: options.WeightsFiles = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Export features as a table, or a model for other programs.

    The exported table contains the path, content hash (key), label and group of each image, all
    other columns of the feature file, and the features.

    A model is exported to an .onnx file with its encoders and its classifier. The graph maps the
    pixels of resized images to probabilities. Its metadata has the classes and the preprocessing.
    The probabilities are compared with those of the model, and nothing is written if one of them
    differs by more than 1e-4.

    With a path without an ending, a model is exported to the folder of a page that classifies
    images in the browser. It works from any static host, and makes no request to another host.

    A model is also exported to a .skops file with its fitted estimator. Such a file holds objects
    and can run code when it is loaded. Give it only to people who trust you.

    Example: clipfeat export model.clipfeat -o model.onnx --check images/
    """
    import zipfile

    if file.suffix == ".clipfeat" or (file.is_file() and zipfile.is_zipfile(file)):
        print_line(_export_model(file, output, overwrite, check, weights or [], progress))
        return
    _refuse("feature file", {"--check": check, "--weights": weights})
    from clipfeat.cli.console import counted
    from clipfeat.store import export as run
    from clipfeat.system.locations import location

    n_rows = run(file, output, overwrite=overwrite, progress=progress)
    written = location(output)
    print_line(f"{written}: {counted(n_rows, 'row')}, {written.stat().st_size:,} bytes")


def _export_model(
    file: Path, output: Path, overwrite: bool, check: str | None, weights: list[Path],
    progress: bool,
) -> str:  # fmt: skip
    """Export a model in the format of the output's suffix, and return a line about it."""
    from clipfeat.cli.outputs import check_file
    from clipfeat.errors import UsageError

    suffix = output.suffix.lower()
    images: Any = {"check": check, "weights": weights, "progress": progress}
    if suffix == ".onnx":
        from clipfeat.exporting.onnx_model import export_onnx

        check_file(output, overwrite=overwrite)
        agreement = export_onnx(file, output, **images)
        return f"{output}: {output.stat().st_size:,} bytes. {str(agreement).capitalize()}"
    if suffix == ".skops":
        from clipfeat.model.exporting import export_estimator

        _refuse(".skops file", {"--check": check, "--weights": weights})
        exported = export_estimator(file, output, overwrite=overwrite)
        return f"{exported}: {exported.stat().st_size:,} bytes"
    if not suffix:
        from clipfeat.exporting.site import export_site

        agreement = export_site(file, output, overwrite=overwrite, **images)
        return f"{output / 'index.html'}: a page. {str(agreement).capitalize()}"
    raise UsageError(
        f"a model is exported to an .onnx or a .skops file, or to a folder, got {output}. Use -o "
        "model.onnx, -o model.skops or -o site"
    )


def _refuse(what: str, given: dict[str, object]) -> None:
    """Refuse options that the export of a kind of file does not have."""
    from clipfeat.errors import UsageError

    for flag, value in given.items():
        if value:
            raise UsageError(f"the export of a {what} does not take {flag}. Leave it out")
