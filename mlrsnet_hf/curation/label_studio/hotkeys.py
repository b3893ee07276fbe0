"""A key for each choice that annotators have, as easy to remember as can be had for all of them together."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_KEYS = (*(letter for letter in _LETTERS if letter != "u"), *(f"shift+{letter}" for letter in _LETTERS), *"123456789")
"""Keys of choices. Label Studio has its own for u; it takes 1 and 2 with Shift where pictures have tools."""


def hotkeys(names: Sequence[str]) -> Mapping[str, str]:
    """Return a key for each name, as Label Studio writes it; where there are more than 60 names, none for the last.

    A key is the first letter of the name, or Shift and that letter, or the first of another word, or any of its
    letters: as good as can be had for all names together. Letters with accents count without these; names without
    Latin letters get digits, and letters that are left.

    Args:
        names: Different from each other.

    Examples:
        >>> dict(hotkeys(["beach", "bridge", "storage tank", "sea", "stadium"]))
        {'beach': 'b', 'bridge': 'shift+b', 'storage tank': 't', 'sea': 's', 'stadium': 'shift+s'}
    """
    from scipy.optimize import linear_sum_assignment

    named = names[: len(_KEYS)]
    # Where two names want a key alike, the earlier gets it.
    costs = [[_cost(name, key) * (1 - row / 1e4) for key in _KEYS] for row, name in enumerate(named)]
    rows, columns = linear_sum_assignment(np.reshape(costs, (len(named), len(_KEYS))))
    return {named[row]: _KEYS[column] for row, column in zip(rows, columns, strict=True)}


def _cost(name: str, key: str) -> float:
    """Return how hard it is to remember the key of a name."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(sign))
    words = re.findall("[a-z]+", plain)
    if key.isdigit():
        return 7
    letter, shift = key[-1], key != key[-1]
    initials, letters = [word[0] for word in words], "".join(words)
    if letter in initials:
        cost = 0.0 if letter == initials[0] else 1.5
    else:
        cost = 4 + letters.index(letter) / 100 if letter in letters else 8
    return cost + shift
