"""Random choices that stay the same on every Python version.

Only `random.Random.random()` is promised to give the same stream on every version of Python; every other choice here is
derived from it.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A named stream of random choices.

    Args:
        name: The name of the stream; equal names give equal streams, in any process.
    """

    def __init__(self, name: str) -> None:
        self.random = random.Random(name).random

    def between(self, low: float, high: float) -> float:
        """Return a real number from `low` to `high`."""
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int((high - low + 1) * self.random())

    def chance(self, probability: float) -> bool:
        """Return true with the given probability."""
        return self.random() < probability

    def sign(self) -> int:
        """Return -1 or 1."""
        return 1 if self.random() < 0.5 else -1

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(len(items) * self.random())]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order."""
        keys = [self.random() for _ in items]
        return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]
