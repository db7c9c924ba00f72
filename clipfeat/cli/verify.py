"""``clipfeat verify``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def verify(file: options.FeaturesOrModel, progress: options.ShowProgress = True) -> None:
    """Check every byte of a feature file or a model file.

    Data that an interrupted or running `clipfeat embed` has written beside the feature file is also
    checked. If a file is damaged, the exit code is 6, and the error says which file is damaged and
    how.

    Example: clipfeat verify out.h5
    """
    import time
    import zipfile

    from clipfeat.cli.console import counted

    # A damaged model file may no longer be a valid zip file.
    if file.suffix == ".clipfeat" or (file.is_file() and zipfile.is_zipfile(file)):
        from clipfeat.model import load_model

        begun = time.monotonic()
        model = load_model(file)
        seconds = time.monotonic() - begun
        size = file.stat().st_size
        print_line(
            f"{file}: intact, {' + '.join(model.members)}, {size:,} bytes in {seconds:.1f} s"
        )
        return
    from clipfeat.store import verify as run

    result = run(file, progress=progress)
    parts = f" in a snapshot and {counted(result.n_parts, 'part')}" if result.n_parts else ""
    rows, failures = counted(result.n_rows, "row"), counted(result.n_failures, "failure")
    print_line(
        f"{result.path}: intact, {rows}{parts}, {failures}, "
        f"{result.n_bytes:,} bytes in {result.seconds:.1f} s"
    )
