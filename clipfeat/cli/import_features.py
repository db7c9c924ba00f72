"""``clipfeat import``. The module is not named ``import`` because that is a Python keyword."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def import_features(
    source: options.ForeignFeatures,
    output: options.NewFeatureFile,
    name: options.FeatureName,
    images: options.ImageFolder = None,
    labels: options.LabelTable = None,
    path_col: options.PathColumn = "",
    label_col: options.LabelColumn = "",
    group_col: options.GroupColumnOfTable = "",
    merge_labels: options.MergeLabels = False,
    class_folders: options.ClassFolders = True,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Import features that thingsvision or clip-retrieval computed.

    The weights and the preprocessing of such features are unknown, so the features count as those
    of a separate encoder. With --images, `clipfeat fit` and `clipfeat benchmark` can join them
    image by image with features that clipfeat computed from the same images.

    Example: clipfeat import alexnet/ -o fc7.h5 --name fc7 --images images/
    """
    from clipfeat.cli.console import label_counts, print_list
    from clipfeat.images.manifest import TableColumns
    from clipfeat.store.importing import import_features as run

    imported = run(
        source,
        output,
        name=name,
        images=images,
        labels=labels,
        columns=TableColumns(path_col, label_col, group_col),
        merge_labels=merge_labels,
        class_folders=class_folders,
        overwrite=overwrite,
        progress=progress,
    )
    spec = imported.spec
    print_line(f"{output}: {imported.n_rows} rows of {spec.n_features} features by {spec.name}")
    n_by_path = imported.n_rows + len(imported.failures) - imported.n_by_bytes
    print_line(
        f"images are identified by content hash ({imported.n_by_bytes}) or by path ({n_by_path})"
    )
    print_line(f"labels: {label_counts(imported.labels)}")
    if imported.failures:
        print_line("failed images, recorded in the file:")
        print_list([f"{f.path}: {f.reason}: {f.message}" for f in imported.failures])
