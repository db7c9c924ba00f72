"""``clipfeat export``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def export(
    file: options.FeaturesOrModel,
    output: options.ExportFile,
    overwrite: options.Overwrite = False,
) -> None:
    """Export a feature file as a table, or a model as skops.

    The exported table contains the path, content hash (key), label and group of each image, all
    other columns of the feature file, and the features.

    A model is exported to a .skops file with its fitted estimator. Such a file holds objects and
    can run code when it is loaded. Give it only to people who trust you.

    Example: clipfeat export out.h5 -o out.parquet
    """
    import zipfile

    if file.suffix == ".clipfeat" or (file.is_file() and zipfile.is_zipfile(file)):
        from clipfeat.model.exporting import export_estimator

        exported = export_estimator(file, output, overwrite=overwrite)
        print_line(f"{exported}: {exported.stat().st_size:,} bytes")
        return
    from clipfeat.cli.console import counted
    from clipfeat.store import export as run
    from clipfeat.system.locations import location

    n_rows = run(file, output, overwrite=overwrite)
    written = location(output)
    print_line(f"{written}: {counted(n_rows, 'row')}, {written.stat().st_size:,} bytes")
