"""Tests of the order of class names and of the positive class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.features import FeatureSet, encode_labels, join, order_classes, stack
from clipfeat.features.classes import names_decide, positive_by, positive_class

CLEAR = [
    # The pairs of which the photographs used to be the positive class.
    ("photo", "generated"), ("original", "fake"), ("human", "ai"), ("real", "deepfake"),
    ("training_real", "training_fake"),
    # Words with prefixes, numbers, separators and capitals.
    ("REAL", "FAKE"), ("nature", "ai"), ("0_real", "1_fake"), ("1_real", "0_fake"),
    ("Photographs", "AI-generated"), ("natural images", "synthetic images"),
    ("authentic", "tampered"), ("genuine", "forged"), ("bona_fide", "attack"), ("live", "spoof"),
    ("pristine", "manipulated"), ("Celeb-real", "Celeb-synthesis"), ("realfaces", "DeepFakeFaces"),
    ("real", "progan"), ("original_sequences", "manipulated_sequences"),
    # Negations.
    ("real", "not_real"), ("real", "unreal"), ("non-fake", "fake"), ("unaltered", "altered"),
    ("no_tumor", "tumor"),
    # Words of both names do not count.
    ("human_generated", "ai_generated"), ("deepfake_real", "deepfake_fake"),
    # Numbers and truth values.
    ("9", "10"), ("-1", "1"), ("class_9", "class_10"), ("False", "True"), ("no", "yes"),
    ("Negative", "Positive"), ("Au", "Tp"),
]  # fmt: skip
UNCLEAR = [
    ("cat", "dog"), ("fake_real", "real_fake"), ("fake", "spoof"), ("organic", "vegan"),
    ("real", "wukong"), ("photo", "painting"), ("ffhq", "stylegan2"), ("cat", "real_or_fake"),
    ("aim", "main"), ("photo", "photorealistic"),
]  # fmt: skip


@pytest.mark.parametrize(("negative", "positive"), [*CLEAR, *UNCLEAR])
def test_the_generated_class_is_positive(negative: str, positive: str) -> None:
    """The generated class is positive in either order of names, and clear orders are marked."""
    for labels in ([negative, positive], [positive, negative]):
        assert encode_labels(labels)[0] == (negative, positive)
        assert names_decide(labels) == ((negative, positive) in CLEAR)
    assert positive_class((negative, positive)) == positive


def test_more_classes_have_no_positive_class() -> None:
    """More than two classes are sorted. A subset of two has a positive class."""
    assert order_classes({"real", "fake", "Unsure"}) == ("fake", "real", "Unsure")
    assert positive_class(("fake", "real", "unsure")) is None
    three = FeatureSet.from_arrays(np.eye(3), ["real", "fake", "unsure"])
    assert three.positive is None
    two = three.take(np.array([0, 1])).labelled()
    assert (two.classes, two.labels.tolist()) == (("real", "fake"), ["real", "fake"])
    with pytest.raises(UsageError, match="needs two classes, got 3"):
        three.with_positive("fake")


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
affixes = st.from_regex(r"(kq|zx|[0-9]){0,3}", fullmatch=True)


@given(names, names, st.lists(st.booleans(), min_size=1))
def test_the_order_of_rows_has_no_effect(first: str, second: str, rows: list[bool]) -> None:
    """The order of the labels changes neither the classes nor the positive class."""
    labels = [first, second, *(first if row else second for row in rows)]
    assert encode_labels(labels)[0] == encode_labels(labels[::-1])[0]
    assert names_decide([first, second]) == names_decide([second, first])


@given(st.sampled_from(CLEAR[:23]), affixes, affixes, st.sampled_from(["_", "-", " "]))
def test_affixes_of_both_names_have_no_effect(
    pair: tuple[str, str], before: str, after: str, separator: str
) -> None:
    """Words or numbers that both names share, and capitals, keep the positive class."""
    full = tuple(f"{before}{separator}{name}{separator}{after}".upper() for name in pair)
    assert order_classes(full) == full
    assert names_decide(full)


def test_a_chosen_class_is_kept() -> None:
    """A chosen positive class is kept by selecting, joining and stacking."""
    rng = np.random.default_rng(0)
    labels = ["real", "fake", "", "real"]
    default = FeatureSet.from_arrays(rng.normal(size=(4, 2)), labels)
    chosen = default.with_positive("real")
    assert default.with_positive("fake") is default
    assert (chosen.classes, chosen.positive) == (("fake", "real"), "real")
    assert chosen.labels.tolist() == labels
    assert chosen.labelled().positive == join([chosen]).positive == "real"
    assert stack(chosen, default)[0].positive == "real"
    assert positive_by(chosen.classes) == positive_by(("real", "fake"), "fake") == "option"
    assert positive_by(("real", "fake")) == "names"
    assert positive_by(("cat", "dog")) == "default"
    with pytest.raises(UnknownNameError, match=r"'Fake'; did you mean .*: fake, real"):
        default.with_positive("Fake")
