"""Command-line options that select the evaluation protocol of a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.cli.parsing import parse_counts
from clipfeat.errors import UsageError

if TYPE_CHECKING:
    from clipfeat.evaluate import Protocol
    from clipfeat.features import FeatureSet


@dataclass(frozen=True)
class ProtocolOptions:
    """Options of ``clipfeat benchmark`` that select a protocol, as the user typed them.

    Parameters
    ----------
    cv : int, optional
        Number of folds.
    split : str
        Column with the official split, or ``"none"``.
    train, test : sequence of Path, optional
        Feature files of the training set and of a separate test set.
    leave_one_out, matrix : str, optional
        Column of a `LeaveOneOut` or a `Matrix`.
    few_shot : str
        Comma-separated sizes of a `FewShot`.
    repeats : int, optional
        Number of repetitions.

    Raises
    ------
    UsageError
        If `train` is given without `test`. If `few_shot` has a part that is not a whole number.
    """

    cv: int | None = None
    split: str = "split"
    train: Sequence[Path] | None = None
    test: Sequence[Path] | None = None
    leave_one_out: str | None = None
    matrix: str | None = None
    few_shot: str = ""
    repeats: int | None = None

    def __post_init__(self) -> None:
        if self.train and not self.test:
            raise UsageError("--train cannot be used without --test. Add --test FEATURES.h5.")
        parse_counts(self.few_shot)

    @property
    def sizes(self) -> list[int]:
        """Numbers of training images per class of a `FewShot`."""
        return parse_counts(self.few_shot)

    @property
    def balance(self) -> str:
        """Value of ``--balance`` that ``auto`` selects. See `Protocol.balance`."""
        from clipfeat.evaluate import LeaveOneOut, Matrix, Protocol

        if self.leave_one_out:
            return LeaveOneOut.balance
        return Matrix.balance if self.matrix else Protocol.balance

    def training_files(self, features: Sequence[Path] | None) -> list[Path]:
        """Return the files to train on: those of ``--train``, or the positional files.

        Raises
        ------
        UsageError
            If both are given.
        """
        if self.train and features:
            raise UsageError(
                "--train cannot be combined with positional FEATURES.h5. Omit the positional files."
            )
        return list(self.train or features or [])

    def record(self) -> dict[str, object]:
        """Return the options as JSON values, for the record that claims a run folder.

        The record has the same keys as in version 0.1, so that runs of that version still resume.
        """
        from clipfeat.evaluate.protocols import FOLDS
        from clipfeat.features.official_parts import SPLIT

        record: dict[str, object] = {
            "test": [str(path.resolve()) for path in self.test or []],
            "cv": FOLDS if self.cv is None else self.cv,
            "leave_one_out": self.leave_one_out,
            "matrix": self.matrix,
            "few_shot": list(map(float, self.sizes)),  # floats since version 0.1
            "repeats": self.repeats,
        }
        if self.split != SPLIT or self.cv is not None:
            record["split"] = self.split if self.cv is None else "none"
        return record

    def protocol(self, data: "FeatureSet", test: "FeatureSet | None") -> "Protocol":
        """Return the protocol that the options select.

        Parameters
        ----------
        data : FeatureSet
            Features of `training_files`.
        test : FeatureSet, optional
            Features of the files of ``--test``.

        Raises
        ------
        UsageError
            If the options select several protocols.
        """
        from clipfeat.evaluate import FewShot, KFold, LeaveOneOut, Matrix, OfficialSplit, TrainTest
        from clipfeat.evaluate.official_split import default_protocol
        from clipfeat.evaluate.protocols import FOLDS
        from clipfeat.features.official_parts import SPLIT

        in_column = self.split not in (SPLIT, "none")
        choices = {"--leave-one-out": self.leave_one_out, "--matrix": self.matrix,
                   "--few-shot": self.sizes, "--test": test, "--split": in_column}  # fmt: skip
        given = [option for option, value in choices.items() if value]
        if in_column and self.cv is not None:
            given.append("--cv")
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} cannot be combined. Use only one of them.")
        n = 1 if self.repeats is None else self.repeats
        folds = FOLDS if self.cv is None else self.cv
        if self.leave_one_out:
            return LeaveOneOut(self.leave_one_out, n)
        if self.matrix:
            return Matrix(self.matrix, folds, n)
        if self.few_shot:
            draws = FewShot.repeats if self.repeats is None else self.repeats
            return FewShot(self.sizes, draws, folds)
        if in_column:
            return OfficialSplit(self.split, repeats=n)
        if test is None and self.cv is None and self.split == SPLIT:
            return default_protocol(data, n)
        return KFold(folds, n) if test is None else TrainTest(test, n)
