"""``clipfeat verify``."""

from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.exits import reports_errors


@reports_errors
def verify(
    file: Annotated[Path, typer.Argument(help="A feature file or a model file.")],
) -> None:
    """Check every byte of a feature file and its parts, or of a model file.

    A damaged file is named, with what is wrong, and the exit code is 6.

    Example: clipfeat verify out.h5
    """
    import time
    import zipfile

    # A damaged model file may no longer look like a zip.
    if zipfile.is_zipfile(file) or file.suffix == ".clipfeat":
        from clipfeat.model import load_model

        begun = time.monotonic()
        model = load_model(file)
        seconds = time.monotonic() - begun
        size = file.stat().st_size
        print(f"{file}: whole; {' + '.join(model.members)}; {size:,} bytes in {seconds:.1f} s")
        return
    from clipfeat.store import verify as run

    found = run(file)
    parts = f" in a snapshot and {found.n_parts} parts" if found.n_parts else ""
    print(
        f"{found.path}: whole; {found.n_rows} rows{parts}, {found.n_failures} failures; "
        f"{found.n_bytes:,} bytes in {found.seconds:.1f} s"
    )
