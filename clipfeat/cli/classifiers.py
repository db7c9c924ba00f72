"""``clipfeat classifiers``."""

from clipfeat.cli.exits import reports_errors


@reports_errors
def classifiers() -> None:
    """List the classifiers and projections.

    The names are for --clf of `clipfeat benchmark` and `clipfeat fit`. A projection transforms the
    features before they reach a classifier, as in triplet+logreg. A star marks the usual
    classifiers. --clf all selects only these. --clf every selects all classifiers except zeroshot,
    which only `clipfeat fit` supports.

    Example: clipfeat classifiers
    """
    from clipfeat.zoo import PROJECTIONS, classifiers

    rows = classifiers()
    width = max(map(len, rows))
    for name, row in rows.items():
        print(f"{name:<{width}} {'*' if row.usual else ' '} {row.summary}")
    for row in PROJECTIONS.values():
        print(f"{row.name + '+':<{width}}   {row.summary}, for use before a classifier")
    print(f"{'zeroshot':<{width}}   zero-shot classification; only for clipfeat fit --prompts")
