"""``clipfeat search``."""

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import print_line, reports_errors
from clipfeat.cli.outputs import check_file


@reports_errors
def search(
    features: options.SearchedFeatures,
    query: options.Query,
    *,
    k: options.ResultCount = 20,
    text: options.IsText = False,
    weights: options.WeightsFile = None,
    face_weights: options.FaceWeightsOfFeatures = None,
    device: options.Device = "auto",
    output: options.SearchResultsFile = None,
    overwrite: options.Overwrite = False,
    progress: options.ShowProgress = True,
) -> None:
    """Find the images that are nearest to an image or a text.

    The query is encoded with the encoder and the options of the feature file. The images are sorted
    by the cosine similarity between their features and the features of the query. An image file or
    video with several rows (views, faces or frames) is listed once.

    Example: clipfeat search out.h5 new/1.jpg -k 20
    """
    from clipfeat.cli.console import print_table
    from clipfeat.searching.search import search as run
    from clipfeat.system.escaping import spreadsheet_csv
    from clipfeat.system.files import publish

    check_file(output, overwrite=overwrite)
    results = run(
        features, query, k, text=True if text else None, weights=[weights] if weights else [],
        face_weights=face_weights, device=device, progress=progress,
    )  # fmt: skip
    table = results.to_pandas()
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        publish(spreadsheet_csv(table).encode(), output)
    rows = [
        [str(rank), label or "–", path, f"{similarity:.4f}"]
        for rank, similarity, label, path in table.itertuples(index=False)
    ]
    title = f"images of {features} that are nearest to {query}"
    print_table(title, ["rank", "label", "path", "similarity"], rows, n_left=3)
    if output is not None:
        print_line(output)
