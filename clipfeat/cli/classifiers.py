"""``clipfeat classifiers``."""

from clipfeat.cli.exits import reports_errors


@reports_errors
def classifiers() -> None:
    """List the classifiers of the zoo, and what may stand before them (triplet+logreg).

    A star marks the usual ones, which --clf all takes; --clf every takes all.

    Example: clipfeat classifiers
    """
    from clipfeat.zoo import CLASSIFIERS, PROJECTIONS

    width = max(map(len, CLASSIFIERS))
    for row in CLASSIFIERS.values():
        print(f"{row.name:<{width}} {'*' if row.usual else ' '} {row.summary}")
    for row in PROJECTIONS.values():
        print(f"{row.name + '+':<{width}}   {row.summary}, in front of any")
