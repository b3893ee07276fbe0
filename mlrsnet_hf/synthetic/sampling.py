"""Which labels an image carries."""

from mlrsnet_hf.published import MOST_LABELS
from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.taxonomy import Scene


def draw_labels(scene: Scene, seed: int, index: int) -> tuple[int, ...]:
    """Draw the labels of an image of a scene.

    Each label of the scene's vocabulary is set on its own, as often as in the release. An image always has at least
    one label, the scene's most frequent one if need be, and at most 13.

    Args:
        scene: The scene.
        seed: The seed of the data set.
        index: The image's number within its scene.

    Returns:
        Label ids, ascending.
    """
    dice = Dice(f"labels:{seed}:{scene.published}:{index}")
    counts = scene.label_counts
    by_frequency = sorted(counts, key=counts.__getitem__, reverse=True)
    labels = [label for label in by_frequency if dice.random() * scene.images < counts[label]]
    return tuple(sorted(labels[:MOST_LABELS] or by_frequency[:1]))
