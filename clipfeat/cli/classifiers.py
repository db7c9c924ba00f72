"""``clipfeat classifiers``."""

from clipfeat.cli.exits import reports_errors


@reports_errors
def classifiers() -> None:
    """List the classifiers of the zoo.

    Example: clipfeat classifiers
    """
    from clipfeat.zoo import CLASSIFIERS

    width = max(map(len, CLASSIFIERS))
    for row in CLASSIFIERS.values():
        print(f"{row.name:<{width}}  {row.summary}")
