"""The order of class names. The last of two classes is the positive class.

The false positive rate, the average precision and the decision threshold refer to the positive
class. If the names show which class contains the generated images, that class is positive. Names
are split into words, and the words that both names share are ignored. ``0_training_fake`` and
``1_training_real`` are therefore compared as ``fake`` and ``real``.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from clipfeat.errors import UsageError, unknown_name


def set_of(words: str) -> frozenset[str]:
    """Split a text at spaces, and return the set of its words."""
    return frozenset(words.split())


GENERATED = set_of(
    "ai aigc altered artificial attack cg cgi computer counterfeit dalle deepfake diffusion "
    "doctored edited fabricated faceswap fake faked forged forgery gan gen generated "
    "generative inauthentic inpainted machine manipulated manipulation midjourney morph "
    "morphed rendered sdxl simulated spliced spoof spoofed spoofing swapped synth synthesis "
    "synthesised synthesized synthetic tampered tampering"
)
"""Words for generated or manipulated images."""

PHOTOGRAPHS = set_of(
    "authentic bona bonafide camera genuine human live natural nature orig original photo "
    "photograph photographic pristine real untouched"
)
"""Words for photographs that were not manipulated."""

NEGATIONS = frozenset({"no", "non", "not", "un", "without"})
"""Words that reverse the next word, as in ``not_real`` and ``unaltered``."""

AMBIGUOUS = frozenset({"and", "both", "like", "mixed", "or", "realistic", "versus", "vs"})
"""Words that make a name ambiguous, as in ``real_vs_fake``."""

NEUTRAL = set_of(
    "art att big class content cycle data dataset deep face faces fide folder frame frames "
    "gau image images img imgs is label pic picture pictures pro sample set split stable star "
    "style swap test testing train training val valid validation video videos"
)
"""Other words that may be joined to a known word, as in ``trainfake`` and ``stylegan``."""

PAIRS = frozenset(
    {
        ("absent", "present"), ("au", "tp"), ("benign", "malignant"), ("f", "t"),
        ("false", "true"), ("n", "y"), ("neg", "pos"), ("negative", "positive"), ("no", "yes"),
        ("normal", "abnormal"), ("off", "on"),
    }
)  # fmt: skip
"""Pairs of words with an established order: the negative class, then the positive class."""

MAX_DIGITS = 1000
"""Maximum number of digits. Longer numbers are sorted like text."""
MAX_WORD = 60
"""Maximum number of letters. Longer sequences of letters are not split into words."""

_SIGNS = dict.fromkeys(GENERATED, 1) | dict.fromkeys(PHOTOGRAPHS, -1)
_SIGNS |= {f"{word}s": sign for word, sign in _SIGNS.items() if not word.endswith("s")}
_VOCABULARY = frozenset(_SIGNS) | NEGATIONS | AMBIGUOUS | NEUTRAL
_LONGEST = max(map(len, _VOCABULARY))

Words = Counter[tuple[str, int]]
"""Words of a name. The sign of a word is 1 for generated, -1 for photographs and 0 otherwise."""


def order_classes(names: Collection[str]) -> tuple[str, ...]:
    """Sort class names, and put the positive class last.

    Numbers are sorted by their value. The last of two classes is the positive class. If the names
    do not determine it, it is the last one in alphabetical order. The order of more than two
    classes has no meaning.

    Examples
    --------
    >>> order_classes({"10", "9"}), order_classes({"real", "fake"})
    (('9', '10'), ('real', 'fake'))
    >>> order_classes({"training_real", "training_fake"}), order_classes({"photo", "AI-generated"})
    (('training_real', 'training_fake'), ('photo', 'AI-generated'))
    """
    if all(name.isdecimal() and len(name) <= MAX_DIGITS for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    ordered = tuple(sorted(names, key=lambda name: (name.casefold(), name)))
    if len(ordered) != 2:
        return ordered
    return ordered[::-1] if _compare(*ordered)[0] > 0 else ordered


def names_decide(classes: Sequence[str]) -> bool:
    """Return whether the names of two classes show which one is positive.

    Examples
    --------
    >>> names_decide(["nature", "ai"]), names_decide(["cat", "dog"]), names_decide(["real", "x"])
    (True, False, False)
    """
    return len(classes) == 2 and _compare(classes[0], classes[1])[1]


def negative_by_name(classes: Sequence[str]) -> str | None:
    """Return the negative class if the names of the classes determine it, else None.

    Of two names, only one needs to contain a known word, unlike in `names_decide`. If there are
    more than two classes, the negative class is the only one whose name describes photographs. If
    several names do, or none, the result is None.

    Examples
    --------
    >>> negative_by_name(["gan", "real", "diffusion"]), negative_by_name(["a", "b", "c"])
    ('real', None)
    """
    if len(classes) > 2:
        photographs = [name for name in classes if _sign(_words(name)) < 0]
        return photographs[0] if len(photographs) == 1 else None
    if len(classes) != 2:
        return None
    order, _ = _compare(classes[0], classes[1])
    return classes[0 if order < 0 else 1] if order else None


def positive_class(classes: Sequence[str]) -> str | None:
    """Return the last of two classes, which is the positive class, or None for any other number.

    Examples
    --------
    >>> positive_class(["real", "fake"]), positive_class(["a", "b", "c"])
    ('fake', None)
    """
    return classes[1] if len(classes) == 2 else None


def positive_title(classes: Sequence[str]) -> str:
    """Return the part of a heading that names the positive class.

    The text is empty if there are not exactly two classes.

    Examples
    --------
    >>> positive_title(["real", "fake"])
    ', positive class fake'
    """
    positive = positive_class(classes)
    return "" if positive is None else f", positive class {positive}"


def positive_by(classes: Sequence[str], chosen: str | None = None) -> str | None:
    """Return how the positive class was determined.

    Parameters
    ----------
    classes : sequence of str
        Names of the classes, in their order.
    chosen : str, optional
        Name that the user chose.

    Returns
    -------
    {"option", "names", "default"} or None
        ``"option"`` if the user chose the class or changed the order, ``"names"`` if the names
        determine it, and ``"default"`` if they do not. None if there are not two classes.
    """
    if len(classes) != 2:
        return None
    if chosen is not None or tuple(classes) != order_classes(classes):
        return "option"
    return "names" if names_decide(classes) else "default"


def positive_last(classes: Sequence[str], name: str) -> tuple[str, ...]:
    """Move a class to the end, which makes it the positive class.

    Raises
    ------
    UsageError
        If there are not exactly two classes.
    UnknownNameError
        If `name` is not one of the classes. The message lists them.
    """
    if name not in classes:
        raise unknown_name("class", name, classes)
    if len(classes) != 2:
        raise UsageError(
            f"a positive class needs two classes, got {len(classes)}: {', '.join(classes)}. Leave "
            "out --positive"
        )
    return (*(other for other in classes if other != name), name)


def _compare(first: str, second: str) -> tuple[int, bool]:
    """Find out which of two class names is the positive class.

    Returns
    -------
    order : int
        1 if `first` is the positive class, -1 if `second` is, and 0 if the words in the names do
        not determine the positive class.
    clear : bool
        Whether both names support this order.
    """
    numbers = [_number(name) for name in (first, second)]
    if numbers[0] is not None and numbers[1] is not None and numbers[0] != numbers[1]:
        return (-1 if numbers[0] < numbers[1] else 1), True
    words = [_words(name) for name in (first, second)]
    own = [words[0] - words[1], words[1] - words[0]]
    signs = [_sign(of) for of in own]
    if signs[0] != signs[1]:
        return (1 if signs[0] > signs[1] else -1), 0 not in signs
    texts = [tuple(word for word, _ in of.elements()) for of in own]
    for order, (negative, positive) in ((-1, texts), (1, texts[::-1])):
        if (len(negative) == 1 and not positive and negative[0] in NEGATIONS) or (
            len(negative) == len(positive) == 1 and (negative[0], positive[0]) in PAIRS
        ):
            return order, True
    digits = [
        [int(number) for number in re.findall(rf"\d{{1,{MAX_DIGITS}}}", name)]
        for name in (first, second)
    ]
    if digits[0] != digits[1] and (texts == [(), ()] or sorted(digits) == [[0], [1]]):
        return (-1 if digits[0] < digits[1] else 1), True
    return 0, False


def _number(name: str) -> float | None:
    """Return the value of a name that is a number, such as ``-1`` or ``0.5``, else None."""
    return float(name) if re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?", name) else None


def _words(name: str) -> Words:
    """Return the words of a name.

    A negation and the word after it count as one word, with the sign of the second word reversed.
    """
    words: Words = Counter()
    negation = ""
    for run in re.findall(r"[^\W\d_]+", name.casefold()):
        for word in _split(run):
            sign = _SIGNS.get(word, 0)
            if negation and sign:
                words[f"{negation} {word}", -sign] += 1
                negation = ""
                continue
            if negation:
                words[negation, 0] += 1
            negation = word if word in NEGATIONS else ""
            if not negation:
                words[word, sign] += 1
    if negation:
        words[negation, 0] += 1
    return words


def _split(run: str) -> list[str]:
    """Split a run of letters, such as ``notreal``, into known words if possible."""
    if run in _VOCABULARY or len(run) > MAX_WORD:
        return [run]
    best: dict[int, list[str]] = {len(run): []}
    for at in range(len(run) - 1, -1, -1):
        for end in range(min(len(run), at + _LONGEST), at, -1):
            if end in best and run[at:end] in _VOCABULARY:
                best[at] = [run[at:end], *best[end]]
                break
    return best.get(0, [run])


def _sign(words: Words) -> int:
    """Return the sign of a name's words. It is 0 if no word is known or the words contradict."""
    signs = {sign for _, sign in words} - {0}
    if len(signs) != 1 or any(word in AMBIGUOUS for word, _ in words):
        return 0
    return signs.pop()
