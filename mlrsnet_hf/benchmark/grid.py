"""A YAML file of axes and fixed settings -> the jobs of their product, those of one split one after the other."""

# ruff: noqa: ANN401 - whatever YAML holds
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mlrsnet_hf.benchmark.job import HOW_MEASURED, PLACES, Job, defining_settings
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
_OF_TASK: Mapping[TaskKind, dict[str, Any]] = {
    "labels": {},
    "labels+scene": {"scene_head": True},
    "scene": {"single_label": True},
}
_DEFAULTS: Mapping[str, Any] = {"trackers": (), "cache": "disk"}
"""Training settings of jobs, unless a grid says otherwise: decoded images are shared by the jobs of a machine."""
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
    if all(None in _protocols(grid, images) for images in grid.datasets):
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
        model = _model_of(network)
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


def expand(grid: Grid, fingerprints: Mapping[str, str], versions: Mapping[str, str | None]) -> list[Job]:
    """Return the jobs of a grid: each train job with the measurements of its model behind it.

    One repetition is complete before the next, and the jobs of one split follow each other, which share its decoded
    images.

    Args:
        grid: The grid.
        fingerprints: Of the images, by the name of the dataset.
        versions: The version of MLRSNet's labels that is read where settings leave it open, by dataset.

    Raises:
        ConfigurationError: Settings do not go together.
    """
    jobs: dict[str, Job] = {}
    for images in grid.datasets:
        own: dict[str, Any] = {"fingerprint": fingerprints[images.name], "dataset": images.name}
        for split_seed, protocol, recipe in itertools.product(grid.split_seeds, _protocols(grid, images), grid.recipes):
            data = _data(images, versions, protocol, split_seed)
            shown = "" if images.name == MLRSNET else f"{_plain(images.name)}-"
            split = f"{shown}{f'{protocol}-' if protocol else ''}split{split_seed}"
            for network, seed in itertools.product(grid.networks, grid.seeds or (split_seed,)):
                common: dict[str, Any] = {"network": network.name, "recipe": recipe, **own}
                trained: dict[TaskKind, Job] = {}
                for task in grid.tasks:
                    marks = [_plain(network.name), recipe, *([task.replace("+", "-")] if task != "labels" else [])]
                    label = f"{'-'.join(marks)}-{split}-seed{seed}"
                    training = defining_settings(_training(grid, network, recipe, task, seed), _NOWHERE)
                    trained[task] = Job(kind="train", label=label, task=task, data=data, training=training, **common)
                jobs |= {job.name: job for job in trained.values()}
                for task, job in trained.items():
                    found = [*_evaluations(grid, job, fingerprints, versions, protocol, split_seed)]
                    if protocol is not None and grid.retrieval is not None and protocol in grid.retrieval.of_protocols:
                        found += _retrievals(grid.retrieval, job, trained.get(grid.retrieval.compare or task))
                    jobs |= {one.name: one for one in found}
    return list(jobs.values())


_NOWHERE = frozenset({"output_dir", "overwrite", "resume", "cache_dir"})
"""Training settings that are given where a job is run."""


def _training(grid: Grid, network: Network, recipe: str, task: TaskKind, seed: int) -> TrainingConfig:
    """Return the settings of a run: the recipe's, over them the grid's, then the network's."""
    changes = {**_DEFAULTS, **grid.training, **network.training, **_OF_TASK[task], "seed": seed}
    model = _model_of(network)
    if recipe == "paper" and "model" not in network.training and network.name in PAPER_NETWORKS:
        return RECIPES[recipe](network.name, **changes)
    return RECIPES[recipe](**{**changes, "model": model})


def _evaluations(
    grid: Grid,
    job: Job,
    fingerprints: Mapping[str, str],
    versions: Mapping[str, str | None],
    protocol: str | None,
    split_seed: int,
) -> Iterator[Job]:
    for measurement in grid.evaluations:
        if measurement.of_protocols is not None and protocol not in measurement.of_protocols:
            continue
        images = measurement.images
        data = job.data
        own: dict[str, Any] = {"dataset": job.dataset, "fingerprint": job.fingerprint}
        if images is not None:
            is_mlrsnet = images.settings.get("dataset", MLRSNET) == MLRSNET
            data = _data(images, versions, protocol if is_mlrsnet else None, split_seed)
            own = {"dataset": images.name, "fingerprint": fingerprints[images.name]}
        settings = defining_settings(EvaluationConfig(**{"page": False, **measurement.settings}), frozenset())
        on = [_plain(images.name)] if images is not None else []
        marks = [*on, *(_plain(f"{name}{value}") for name, value in settings.items() if name not in HOW_MEASURED)]
        yield dataclasses.replace(
            job,
            kind="evaluate",
            label=f"evaluate-{'-'.join([*marks, job.label])}",
            data=data,
            training=None,
            evaluation=settings,
            needs=(job.name,),
            **own,
        )


def _retrievals(retrieval: Retrieval, job: Job, compared: Job | None) -> Iterator[Job]:
    if retrieval.compare is not None and (compared is None or compared.name == job.name):
        return  # it is what the others are compared with
    needs = (job.name, compared.name) if compared is not None and compared.name != job.name else (job.name,)
    data = DataConfig(**job.data)
    for layer, distance in itertools.product(retrieval.layers, retrieval.distances):
        config = RetrievalConfig(
            model=("model",),
            dataset=data.dataset,
            label_version=data.label_version,
            protocol=retrieval.protocols,  # type: ignore[arg-type] # checked
            split_seed=(data.split_seed,),
            layer=layer,  # type: ignore[arg-type] # checked
            distance=distance,  # type: ignore[arg-type] # checked
        )
        more = [] if (layer, distance) == ("pre_logits", "euclidean") else [layer, distance]
        yield dataclasses.replace(
            job,
            kind="retrieval",
            label="-".join(["retrieval", *more, job.label]),
            training=None,
            retrieval=defining_settings(config, frozenset({"model"})),
            needs=needs,
        )


def _protocols(grid: Grid, images: Images) -> Sequence[str | None]:
    """Return the axis of protocols; data of others, and a file of splits, have none."""
    is_mlrsnet = images.settings.get("dataset", MLRSNET) == MLRSNET
    return grid.protocols if is_mlrsnet and images.settings.get("split_file") is None else (None,)


def _data(images: Images, versions: Mapping[str, str | None], protocol: str | None, seed: int) -> dict[str, Any]:
    given = {"label_version": versions[images.name], "protocol": protocol, "split_seed": seed, **images.settings}
    if given.get("split_file") is not None:
        given["protocol"] = None
    is_here = images.settings.get("dataset", MLRSNET) != MLRSNET and Path(given["dataset"]).expanduser().exists()
    return defining_settings(DataConfig(**given), PLACES | ({"dataset"} if is_here else frozenset()))


def _model_of(network: Network) -> str:
    if "model" in network.training:
        return str(network.training["model"])
    paper = PAPER_NETWORKS.get(network.name)
    return network.name if paper is None else paper.model


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


def _plain(name: str) -> str:
    """Return a name as a part of a folder's."""
    return "".join(sign if sign.isalnum() or sign in "._" else "_" for sign in name)[:60]
