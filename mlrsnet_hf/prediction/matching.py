"""Which outputs of a model stand for which labels of a dataset: by name, never by place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.inputs.columns.labels import plain_name
from mlrsnet_hf.taxonomy import Label, Scene, find_label, find_scene

Find = Callable[[str], Label | Scene]


@dataclass(frozen=True, slots=True)
class Match:
    """The names that model and data have in common, in the data's order, and those that one side alone has."""

    names: tuple[str, ...]
    """As the data spells them."""
    outputs: npt.NDArray[np.int64]
    """(M,) positions in the model's names."""
    ids: npt.NDArray[np.int64]
    """(M,) positions in the data's names."""
    only_in_model: tuple[str, ...]
    only_in_data: tuple[str, ...]
    respelled: dict[str, str]
    """The data's name to the model's, where these differ."""


def match_labels(model: Sequence[str], data: Sequence[str]) -> Match:
    """Return which labels are common; spellings of MLRSNet's labels, and of case and spaces, are one label.

    Examples:
        >>> match = match_labels(["harbor", "water", "sand"], ["Water", "habor", "ice"])
        >>> match.names, match.outputs.tolist(), match.only_in_model, match.only_in_data
        (('Water', 'habor'), [1, 0], ('sand',), ('ice',))
    """
    return _match(model, data, find_label)


def match_scenes(model: Sequence[str], data: Sequence[str]) -> Match:
    """Return which scenes are common, likewise."""
    return _match(model, data, find_scene)


def _match(model: Sequence[str], data: Sequence[str], find: Find) -> Match:
    exact = {name: output for output, name in enumerate(model)}
    pairs = [(exact[name], number) for number, name in enumerate(data) if name in exact]
    # A spelling stands for another only where no third name could be meant.
    outputs, numbers = ({one for one, _ in pairs}, {other for _, other in pairs})
    left = _by_key([(name, output) for output, name in enumerate(model) if output not in outputs], find)
    for key, number in _by_key([(name, n) for n, name in enumerate(data) if n not in numbers], find).items():
        if key in left:
            pairs.append((left[key], number))
    pairs.sort(key=lambda pair: pair[1])
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return Match(
        names=tuple(data[number] for _, number in pairs),
        outputs=found[:, 0],
        ids=found[:, 1],
        only_in_model=tuple(name for output, name in enumerate(model) if output not in found[:, 0]),
        only_in_data=tuple(name for number, name in enumerate(data) if number not in found[:, 1]),
        respelled={data[number]: model[output] for output, number in pairs if data[number] != model[output]},
    )


def _by_key(named: Sequence[tuple[str, int]], find: Find) -> dict[str, int]:
    """Return positions by what the names mean, without those that two names share."""
    found: dict[str, list[int]] = {}
    for name, position in named:
        try:
            key = find(name).name
        except UnknownNameError:
            key = name
        found.setdefault(plain_name(key), []).append(position)
    return {key: positions[0] for key, positions in found.items() if len(positions) == 1}
