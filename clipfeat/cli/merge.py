"""``clipfeat merge``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def merge(
    files: options.MergedFiles,
    output: options.NewFeatureFile,
    prefer: options.Prefer = None,
    merge_labels: options.MergeLabels = False,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Merge feature files of one encoder into a new file.

    Image paths in the new file are relative to the common parent folder of all images.

    Example: clipfeat merge a.h5 b.h5 -o all.h5
    """
    from clipfeat.cli.console import counted
    from clipfeat.store import merge_files

    merged = merge_files(
        files,
        output,
        prefer=prefer,
        merge_labels=merge_labels,
        overwrite=overwrite,
        progress=progress,
    )
    print_line(
        f"{merged.path}: {counted(merged.n_rows, 'row')} from {counted(len(files), 'file')}, "
        f"{counted(merged.n_doubled, 'duplicate row')} left out, "
        f"{counted(merged.n_failures, 'failure')}"
    )
    if merged.root:
        print_line(f"paths are relative to {merged.root}")
