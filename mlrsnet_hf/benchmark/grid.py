"""A YAML file of axes and fixed settings, checked; `expand.py` makes jobs of their product."""

# ruff: noqa: ANN401 - whatever YAML holds
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mlrsnet_hf.configuration.settings import Settings, checked, from_text, leaves
from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.dataset.splits.protocols import PROTOCOLS
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted, shortened
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig, TaskKind
from mlrsnet_hf.models import PRETRAINED
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import RECIPES

PRESETS = Path(__file__).parent / "presets"
AS_SPLIT = "as-split"
"""In the place of training seeds: each repetition has the seed of its split."""
TASKS: tuple[TaskKind, ...] = get_args(TaskKind)
TRAINED_BY = tuple(name for name in PROTOCOLS if not name.startswith("retrieval"))
"""Protocols whose splits train."""
_MANAGED = {
    TrainingConfig: frozenset(
        {"model", "output_dir", "overwrite", "resume", "seed", "scene_head", "single_label", "cache_dir"}
    ),
    DataConfig: frozenset({"streaming", "protocol", "split_seed"}),
    EvaluationConfig: frozenset({"output_dir", "save_predictions"}),
}
"""Settings that the axes give, or the benchmark itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An entry of the axis of networks."""

    name: str
    """The paper's name, timm's, or one that the grid gives to settings."""
    training: Mapping[str, Any]
    """Training settings of this network alone."""
    license: str | None = None
    """Of its weights."""

    @property
    def model(self) -> str:
        """Timm's name, or the folder of a model."""
        if "model" in self.training:
            return str(self.training["model"])
        paper = PAPER_NETWORKS.get(self.name)
        return self.name if paper is None else paper.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """An entry of the axis of datasets."""

    name: str
    settings: Mapping[str, Any]
    """Of `DataConfig`."""
    synthetic: int | None = None
    """Images of each scene that are drawn into the benchmark's folder; None where the settings say what is read."""
    synthetic_seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One more evaluation of each trained network, beside that on its own test split."""

    settings: Mapping[str, Any]
    """Of `EvaluationConfig`."""
    images: Images | None = None
    """None for those that the network learned from."""
    of_protocols: tuple[str, ...] | None = None
    """Protocols of training whose networks are measured; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Which trained networks are measured in retrieval, and how."""

    protocols: tuple[str, ...]
    """Shares of the images that query; one job measures all."""
    layers: tuple[str, ...] = ("pre_logits",)
    distances: tuple[str, ...] = ("euclidean",)
    of_protocols: tuple[str, ...] = ("ratio40",)
    """Protocols of training whose networks are measured."""
    compare: TaskKind | None = None
    """Task of the network, equal in all else, that is set beside each of another task (Fig. 14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Axes and fixed settings, checked; see docs/benchmark.md."""

    name: str
    values: Mapping[str, Any]
    """As the file has them."""
    networks: tuple[Network, ...]
    recipes: tuple[str, ...] = ("modern",)
    tasks: tuple[TaskKind, ...] = ("labels",)
    datasets: tuple[Images, ...] = (Images(name=MLRSNET, settings={}),)
    protocols: tuple[str, ...] = ("ratio20",)
    split_seeds: tuple[int, ...] = (0,)
    seeds: tuple[int, ...] | None = None
    """Of training; None for the split's."""
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    evaluations: tuple[Measurement, ...] = ()
    retrieval: Retrieval | None = None

    @property
    def images(self) -> dict[str, Images]:
        """All images of the grid by name, those too that are measured alone."""
        found: dict[str, Images] = {}
        for entry in (*self.datasets, *(one.images for one in self.evaluations if one.images is not None)):
            if found.setdefault(entry.name, entry) != entry:
                raise ConfigurationError(
                    f"grid {self.name}: two datasets are called {entry.name!r}", "Give each a name of its own."
                )
        return found

    def protocols_of(self, images: Images) -> Sequence[str | None]:
        """Return the axis of protocols; data of others, and a file of splits, have none."""
        is_mlrsnet = images.settings.get("dataset", MLRSNET) == MLRSNET
        return self.protocols if is_mlrsnet and images.settings.get("split_file") is None else (None,)


def presets() -> dict[str, Path]:
    """Return the grids that come with the package, by name."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def read_grid(name: str) -> Grid:
    """Read a preset, or a YAML file of one's own.

    Args:
        name: Of a preset, or the path of a file.

    Raises:
        UnknownNameError: There is no such preset, axis or setting.
        ConfigurationError: The file cannot be read, or a value cannot be used.
    """
    known = presets()
    if name in known:
        return make_grid(name, read_settings_file(known[name]))
    path = Path(name).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml") and not path.exists():
        raise UnknownNameError(
            f"there is no preset {name!r}", f"{name_alternatives(name, known)} A grid of one's own ends in .yaml."
        )
    grid = make_grid(path.stem, read_settings_file(path))
    _require_measured(grid)
    return grid


def _require_measured(grid: Grid) -> None:
    """Refuse what measures no network; not in `make_grid`, which reads the grids of benchmarks that are there."""
    if all(None in grid.protocols_of(images) for images in grid.datasets):
        return
    for part, one in (("retrieval", grid.retrieval), *(("evaluations", one) for one in grid.evaluations)):
        if one is not None and one.of_protocols is not None and not set(one.of_protocols) & set(grid.protocols):
            asked, trained = ", ".join(one.of_protocols), ", ".join(grid.protocols)
            raise ConfigurationError(
                f"grid {grid.name}: {part}: no network is trained by {asked}, so none would be measured",
                f"Give of_protocols: [{trained}], or add to protocols.",
            )


def make_grid(name: str, values: Mapping[str, Any]) -> Grid:
    """Return the grid of plain values, such as those of a YAML file.

    Raises:
        UnknownNameError: An axis, a setting, a network, a recipe or a task is not known.
        ConfigurationError: A value cannot be used.
    """
    where = f"grid {name}"
    known = {field.name for field in dataclasses.fields(Grid)} - {"name", "values"} | {"data", "about"}
    _require_names(where, "axis", values, known)
    if not values.get("networks"):
        raise ConfigurationError(f"{where}: names no networks", "Give networks: [ResNet50], or others.")
    read: dict[str, Any] = {
        axis: _list(where, axis, values[axis], kind)
        for axis, kind in (("recipes", str), ("tasks", str), ("protocols", str), ("split_seeds", int))
        if axis in values
    }
    _require_known(where, "recipe", read.get("recipes", ()), RECIPES)
    _require_known(where, "task", read.get("tasks", ()), TASKS)
    _require_known(where, "protocol", read.get("protocols", ()), TRAINED_BY)
    seeds = values.get("seeds", AS_SPLIT)
    data = _settings(f"{where}: data", DataConfig, values.get("data", {}))
    read |= {
        "seeds": None if seeds == AS_SPLIT else _list(where, "seeds", seeds, int),
        "training": _settings(f"{where}: training", TrainingConfig, values.get("training", {})),
        "networks": tuple(_network(where, entry) for entry in _entries(where, "networks", values["networks"])),
    }
    if "retrieval" in values:
        read["retrieval"] = _retrieval(f"{where}: retrieval", values["retrieval"])
    datasets = _entries(where, "datasets", values.get("datasets", [{"name": MLRSNET}]))
    read["datasets"] = tuple(_images(f"{where}: datasets", entry, data) for entry in datasets)
    evaluations = _entries(where, "evaluations", values.get("evaluations", []), empty=True)
    read["evaluations"] = tuple(_measurement(f"{where}: evaluations", entry) for entry in evaluations)
    grid = Grid(name=name, values=dict(values), **read)
    names = [network.name for network in grid.networks]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise ConfigurationError(f"{where}: the network {twice[0]!r} stands twice", "Leave one out, or rename it.")
    _ = grid.images  # of which no two have one name
    return grid


def training_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return training settings, checked, that a job may be given beside its axes.

    Raises:
        UnknownNameError: There is no such setting, or a value is none of the known names.
        ConfigurationError: A value cannot be used.
    """
    return _settings("settings", TrainingConfig, values)


def settings_from_text(words: Iterable[str]) -> dict[str, Any]:
    """Return what `NAME=VALUE` say of training settings.

    Raises:
        UnknownNameError: There is no such setting, or a value is none of the known names.
        ConfigurationError: A value cannot be used.
    """
    known = leaves(TrainingConfig)
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ConfigurationError(f"--set {word!r} is no setting with a value", "Give NAME=VALUE.")
        _require_names("--set", "setting", [name], known.keys() - _MANAGED[TrainingConfig], _MANAGED[TrainingConfig])
        kind = known[name][1]
        if kind is bool:
            values[name] = {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
        elif isinstance(known[name][0].default, tuple):
            values[name] = text.split(",")
        else:
            values[name] = from_text(name, kind, text)
    return training_settings(values)


def require_networks(grid: Grid) -> None:
    """Refuse networks that neither the paper nor timm knows, and weights that are not there; imports timm.

    Raises:
        WeightsError: A file or folder of weights is not there.
        UnknownNameError: One of them, with names near it.
    """
    import timm

    from mlrsnet_hf.models.build import require_known_model, require_weights

    for network in grid.networks:
        model = network.model
        require_weights({**grid.training, **network.training}.get("weights", PRETRAINED))
        try:
            require_known_model(model)
        except UnknownNameError as error:
            remedy = error.remedy
            if network.name == model:
                remedy = name_alternatives(model, [*PAPER_NETWORKS, *timm.list_models()])
                if not remedy.startswith("Did you mean"):
                    remedy = f"Name one of the paper's ({', '.join(PAPER_NETWORKS)}), or one of timm's."
            raise UnknownNameError(f"grid {grid.name}: {error.found}", remedy) from error


def _network(where: str, entry: Any) -> Network:
    if isinstance(entry, str):
        return Network(name=entry, training={})
    values = _mapping(f"{where}: networks", entry)
    name = _text(f"{where}: networks", "name", values)
    own = {key: value for key, value in values.items() if key not in ("name", "license")}
    training = _settings(f"{where}: network {name}", TrainingConfig, own, also=frozenset({"model"}))
    given = values.get("license")
    return Network(name=name, training=training, license=None if given is None else str(given))


def _images(where: str, entry: Any, common: Mapping[str, Any]) -> Images:
    values = _mapping(where, entry)
    drawn = {key: values[key] for key in ("synthetic", "synthetic_seed") if key in values}
    for key, value in drawn.items():
        _require(isinstance(value, int) and not isinstance(value, bool) and value >= 0, where, key, value, "a number")
    own = {key: value for key, value in values.items() if key not in ("name", *drawn)}
    return Images(name=_text(where, "name", values), settings={**common, **_settings(where, DataConfig, own)}, **drawn)


def _measurement(where: str, entry: Any) -> Measurement:
    values = dict(_mapping(where, entry))
    on, of = values.pop("on", None), values.pop("of_protocols", None)
    of_protocols = None if of is None else _list(where, "of_protocols", of, str)
    _require_known(where, "protocol", of_protocols or (), TRAINED_BY)
    images = None if on is None else _images(f"{where}: on", on, {})
    return Measurement(
        settings=_settings(where, EvaluationConfig, values),
        images=images,
        of_protocols=of_protocols,
    )


def _retrieval(where: str, entry: Any) -> Retrieval:
    values = _mapping(where, entry)
    _require_names(where, "setting", values, {field.name for field in dataclasses.fields(Retrieval)})
    kinds = {name: kind for name, (_, kind) in leaves(RetrievalConfig).items()}
    compare = values.get("compare")
    if compare is not None:
        _require_known(where, "task", [compare], TASKS)
    read: dict[str, Any] = {name: _list(where, name, values[name], str) for name in values if name != "compare"}
    _require_known(where, "protocol", read.get("of_protocols", ()), TRAINED_BY)
    checked(f"{where}: protocols", kinds["protocol"], list(read.get("protocols", ("retrieval10",))))
    for axis, setting in (("layers", "layer"), ("distances", "distance")):
        for one in read.get(axis, ()):
            checked(f"{where}: {axis}", kinds[setting], one)
    return Retrieval(**{"protocols": ("retrieval10",), "compare": compare, **read})


def _settings(
    where: str,
    kind: type[Settings],
    values: Any,
    also: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return settings by name, checked one by one."""
    known = leaves(kind)
    managed = _MANAGED[kind] - also
    values = _mapping(where, values)
    _require_names(where, "setting", values, known.keys() - managed, managed)
    return {name: checked(f"{where}: {name}", known[name][1], value) for name, value in values.items()}


def _require_names(
    where: str, what: str, names: Iterable[str], known: Iterable[str], managed: Iterable[str] = ()
) -> None:
    for name in names:
        if name in managed:
            raise ConfigurationError(f"{where}: {name} is given by the axes or by the benchmark", "Leave it out.")
        if name not in known:
            raise UnknownNameError(
                f"{where}: there is no {what} {quoted(name)}", name_alternatives(name, sorted(known))
            )


def _require_known(where: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(f"{where}: there is no {what} {quoted(name)}", name_alternatives(name, known))


def _list(where: str, axis: str, value: Any, kind: type) -> tuple[Any, ...]:
    """Return an axis: a list of texts, or a single one, or a list of whole numbers, none twice."""
    # A single number may be meant as how many there shall be.
    entries = value if isinstance(value, list) else [value] if kind is str else []
    fits = all(isinstance(one, kind) and not isinstance(one, bool) and 0 <= _size(one) < 2**32 for one in entries)
    wanted = "a list of names" if kind is str else "a list of whole numbers from 0"
    _require(fits and len(set(entries)) == len(entries) > 0, where, axis, value, f"{wanted}, none twice")
    return tuple(entries)


def _size(value: Any) -> float:
    return value if isinstance(value, int | float) and math.isfinite(value) else 0


def _entries(where: str, axis: str, value: Any, empty: bool = False) -> list[Any]:
    _require(isinstance(value, list) and (empty or bool(value)), where, axis, value, "a list")
    return list(value)


def _mapping(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(f"{where}: {shortened(quoted(value), 100)} holds no names with values", "Give these.")
    return value


def _text(where: str, name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    _require(isinstance(value, str) and 0 < len(value) <= 200, where, name, value, "a name")
    return str(value)


def _require(fits: bool, where: str, name: str, value: Any, wanted: str) -> None:
    if not fits:
        raise ConfigurationError(f"{where}: {name}={shortened(quoted(value), 100)} cannot be used", f"Give {wanted}.")
