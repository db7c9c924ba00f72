"""Tables of encoders, classifiers, recipes and metrics, from their registries."""

from collections.abc import Iterable, Iterator, Sequence

from clipfeat.encoders.registry import ENCODER_ALIASES
from clipfeat.encoders.spectrum import DEFAULT_SIZE, N_BINS
from clipfeat.evaluate.metrics import METRICS
from clipfeat.training.recipe import DEFAULT_RECIPE, RECIPES
from clipfeat.zoo import PROJECTIONS, classifiers
from clipfeat.zoo.spaces import WarmPath


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each table."""
    yield "encoders.inc.md", encoder_table()
    yield "classifiers.inc.md", classifier_table()
    yield (
        "projections.inc.md",
        table(
            ("name", "description"),
            ((f"`{row.name}+`", row.summary) for row in PROJECTIONS.values()),
        ),
    )
    yield "recipes.inc.md", recipe_list()
    yield "metrics.inc.md", metric_table()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [titles, ["---"] * len(titles), *escaped]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def encoder_table() -> str:
    """Return the table of the short names."""
    rows = (
        (
            f"`{short}`",
            f"`{row.name}`",
            *map(str, features_and_input(row.name)),
            f"{row.parameters:,g}",
            row.licence or "see model card",
            row.note,
        )
        for short, row in ENCODER_ALIASES.items()
    )
    titles = ("short name", "encoder", "features", "input, pixels", "million parameters",
              "licence of the weights", "remark")  # fmt: skip
    return table(titles, rows)


def features_and_input(encoder: str) -> tuple[int | str, int | str]:
    """Return the number of features and the input size. Networks are built without weights."""
    import open_clip
    import timm
    import torch

    library, _, name = encoder.partition(":")
    if library == "open_clip":
        config = open_clip.get_model_config(name.partition("/")[0])
        return config["embed_dim"], config["vision_cfg"].get("image_size", 224)
    if library == "package":
        name = f"tf_{name.replace('-', '_')}"
    elif library == "spectrum":
        return N_BINS, DEFAULT_SIZE
    elif library != "timm":
        return "", ""
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0)
    return network.num_features, network.pretrained_cfg["input_size"][-1]


def classifier_table() -> str:
    """Return the table of the classifiers."""
    rows = (
        (
            f"`{name}`",
            row.summary,
            "yes" if row.usual else "",
            ", ".join(f"`{parameter}`" for parameter in tuned_parameters(row.space)),
            "yes" if row.streamed else "",
        )
        for name, row in classifiers().items()
    )
    return table(("name", "description", "in `all`", "tuned parameters", "out of core"), rows)


def tuned_parameters(space: object) -> Sequence[str]:
    """Return the names of the parameters that ``--tune`` searches."""
    if isinstance(space, WarmPath):
        return [space.parameter]
    return list(space or ())


def recipe_list() -> str:
    """Return a section for each recipe."""
    lines = []
    for name, recipe in RECIPES.items():
        default = " (the default)" if name == DEFAULT_RECIPE else ""
        settings = recipe.settings().items()
        rows = [(key, f"`{value}`") for key, value in settings if key not in ("summary", "source")]
        lines += [f"## {name}{default}", "", f"Purpose: {recipe.summary}.", ""]
        lines += [table(("setting", "value"), rows), f"Source: {recipe.source}.", ""]
    return "\n".join(lines)


def metric_table() -> str:
    """Return the table of the metrics."""
    rows = (
        (f"`{name}`", metric.title, "higher" if metric.higher_is_better else "lower",
         "pooled predictions" if metric.pooled else "mean over folds")
        for name, metric in METRICS.items()
    )  # fmt: skip
    return table(("name", "heading in tables", "better", "computed in a benchmark on"), rows)
