"""``clipfeat recipes``."""

from clipfeat.cli.exits import print_line, reports_errors


@reports_errors
def recipes() -> None:
    """List the recipes of `clipfeat train`.

    A recipe is a complete set of choices: encoders, image sizes, layers, views, faces, scaling,
    classifiers and votes. Settings with default values are not listed. The line that
    starts with 'source' states the paper or measurement behind a recipe. A star marks the default.

    Example: clipfeat recipes
    """
    from clipfeat.training.recipe import DEFAULT_RECIPE, RECIPES

    for name, recipe in RECIPES.items():
        print_line(f"{name}{' *' if name == DEFAULT_RECIPE else ''}: {recipe.summary}")
        for title, value in recipe.settings().items():
            print_line(f"  {title:<12} {value}")
        print_line(f"  {'source':<12} {recipe.source}")
