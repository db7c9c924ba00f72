"""``clipfeat export``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import reports_errors


@reports_errors
def export(
    file: options.FeatureFile,
    output: options.ExportFile,
    overwrite: options.Overwrite = False,
) -> None:
    """Export a feature file as Parquet, NPZ or CSV.

    The exported table contains the path, content hash (key), label and group of each image, all
    other columns of the feature file, and the features.

    Example: clipfeat export out.h5 -o out.parquet
    """
    from clipfeat.cli.console import counted
    from clipfeat.store import export as run
    from clipfeat.system.locations import location

    n_rows = run(file, output, overwrite=overwrite)
    written = location(output)
    print(f"{written}: {counted(n_rows, 'row')}, {written.stat().st_size:,} bytes")
