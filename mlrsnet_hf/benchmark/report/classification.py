"""Tables 4 to 7: the networks, their settings and their scores beside the paper's; pairs of networks."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from mlrsnet_hf.benchmark.job import HOW_MEASURED
from mlrsnet_hf.benchmark.report.tables import (
    NONE,
    Cell,
    Column,
    Table,
    count,
    gap,
    mean,
    nothing,
    number,
    p_value,
    slug,
    suffixes,
    words,
)
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.benchmark.statistics import PairTest, compare_pairs
from mlrsnet_hf.dataset.splits.protocols import PROTOCOLS
from mlrsnet_hf.evaluation.intervals import CONFIDENCE
from mlrsnet_hf.evaluation.scores import SCENE_ACCURACY
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD
from mlrsnet_hf.paper_tables import REPETITIONS, TABLE4_NETWORKS, TABLE5_SETTINGS, TABLE6_MAP, TABLE7_F1

LEVEL = 1 - CONFIDENCE
"""A difference is called sure if its p-value, adjusted for the number of pairs, is below this."""
SPLITS_NOTE = (
    "The paper repeats five times and does not say whether each repetition draws its own split. Here each split seed "
    "draws a new split, so that the deviation holds the chance of the split as well as that of training."
)
_HEADLINE = ("map", "sample_f1")


def classification_tables(results: Results, depth: Callable[[Row], int | None]) -> list[Table]:
    """Return every table of the scores of labels, those with something to say.

    Args:
        results: What has been found.
        depth: Counts the layers of the network of a training that is done; None where its model is not there.
    """
    trained = results.of_kind("train")
    found = [network_table(trained, depth, _licenses(results)), settings_table(trained)]
    for images, suffix in suffixes(group.trained_on for group in trained).items():
        groups = [group for group in trained if group.trained_on == images]
        labeled = [group for group in groups if group.rows[0].model.task != "scene"]
        if labeled:
            found.append(score_table(labeled, "table6", "map", 100, 2, TABLE6_MAP, suffix))
            found.append(score_table(labeled, "table7", "sample_f1", 1, 4, TABLE7_F1, suffix))
            found.append(score_table(labeled, "table7-f1-of-means", "f1_of_means", 1, 4, TABLE7_F1, suffix))
            found += [table for metric in _HEADLINE for table in pair_tables(labeled, metric, suffix)]
        scenes = [group for group in groups if group.rows[0].model.task != "labels"]
        if scenes:
            found.append(score_table(scenes, "scene-accuracy", SCENE_ACCURACY, 1, 4, {}, suffix))
    if measured := results.of_kind("evaluate"):
        found.append(evaluation_table(measured))
    return [table for table in found if table.rows]


def protocol_title(protocol: str) -> str:
    """Return what a column of a protocol is called.

    Examples:
        >>> protocol_title("ratio20"), protocol_title("grouped40"), protocol_title("")
        ('20% train', '40% train, grouped', 'its own split')
    """
    if protocol not in PROTOCOLS:
        return protocol or "its own split"
    name = protocol.rstrip("0123456789")
    told = {"ratio": "% train", "grouped": "% train, grouped"}
    return protocol.removeprefix(name) + told[name] if name in told else protocol


def percent_of(protocol: str) -> int | None:
    """Return the percent of the images that train, for the protocols of the paper; None for others."""
    return int(protocol.removeprefix("ratio")) if protocol in PROTOCOLS and protocol.startswith("ratio") else None


def protocols_of(groups: Iterable[Group]) -> list[str]:
    """Return the protocols of groups in the order of the tables."""
    there = {group.protocol for group in groups}
    return [*(name for name in PROTOCOLS if name in there), *sorted(there - set(PROTOCOLS))]


def variants_of(groups: Iterable[Group]) -> dict[str, list[Group]]:
    """Return the groups of each variant of a network, in their order."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.variant, []).append(group)
    return found


def score_cell(group: Group | None, metric: str, scale: float = 1, digits: int = 4) -> Cell:
    """Return the mean of a metric over a group's repetitions, or why there is none."""
    if group is None:
        return gap("not in the grid")
    values = [scale * value for value in group.values(metric)]
    if not values:
        return gap("not defined" if group.done else group.gap, group.anchor)
    return mean(values, len(group.rows), digits, group.anchor)


def score_table(
    groups: Sequence[Group],
    name: str,
    metric: str,
    scale: float,
    digits: int,
    paper: Mapping[str, Mapping[int, float]],
    suffix: str,
) -> Table:
    """Return a metric of each network and protocol, beside the paper's value where it has one, and the difference.

    Args:
        groups: Trainings on one set of images.
        name: Of the table.
        metric: Its name in the registry.
        scale: 100 where the paper gives percent.
        digits: Digits behind the point, as the paper gives them.
        paper: Its values by network and percent, in its scale.
        suffix: Of the table's name.
    """
    images, protocols = groups[0].trained_on, protocols_of(groups)
    direction: Literal["highest", "lowest"] = (
        "highest" if metric not in METRICS or METRICS[metric].higher_is_better else "lowest"
    )
    beside = any(paper.get(group.network, {}).get(percent_of(group.protocol) or 0) for group in groups)
    columns = [Column(title="network", is_text=True)]
    for protocol in protocols:
        title = protocol_title(protocol)
        columns.append(Column(title="here", above=title, best=direction))
        if beside and percent_of(protocol):
            columns += [Column(title="paper", above=title), Column(title="difference", above=title)]
    rows = []
    for variant, own in variants_of(groups).items():
        by_protocol = {group.protocol: group for group in own}
        row = [words(variant)]
        for protocol in protocols:
            cell = score_cell(by_protocol.get(protocol), metric, scale, digits)
            row.append(cell)
            if beside and (percent := percent_of(protocol)):
                printed = paper.get(own[0].network, {}).get(percent)
                row.append(number(printed, digits, look="paper"))
                there = cell.is_number and printed is not None
                gained = float(cell.value) - printed if there else None  # type: ignore[arg-type,operator]
                row.append(number(gained, digits, signed=True, look="paper"))
        rows.append(row)
    title = metric_title(metric) + (" in percent" if scale == 100 else "")
    part = {"table6": "Table 6. ", "table7": "Table 7. ", "table7-f1-of-means": "Table 7, read otherwise. "}.get(
        name, ""
    )
    notes = [f"{_captioned(metric)} Means over the repetitions, ± their standard deviation.", SPLITS_NOTE]
    if metric in ("sample_f1", "f1_of_means"):
        notes.append("The paper's wording of F1 fits both sample-F1 and F1 of means: its value stands beside each.")
    return Table(
        name=f"{name}{suffix}",
        title=f"{part}{title} of the test split, {images}",
        columns=columns,
        rows=rows,
        notes=notes if beside else notes[:1],
    ).with_best()


def _captioned(metric: str) -> str:
    citation = (
        METRICS[metric].citation if metric in METRICS else "Share of the images whose highest scene is the right one"
    )
    return f"{metric_title(metric)}: {citation}."


def _licenses(results: Results) -> dict[str, str]:
    """Return the license that a grid gives of a network's weights, by the network's name there."""
    entries = [entry for grid in results.benchmark.info().grids.values() for entry in grid.get("networks", ())]
    named = [entry for entry in entries if isinstance(entry, Mapping) and entry.get("license")]
    return {str(entry["name"]): str(entry["license"]) for entry in named}


def network_table(groups: Sequence[Group], depth: Callable[[Row], int | None], licenses: Mapping[str, str]) -> Table:
    """Table 4: layers and parameters of the networks that were trained, beside the paper's; and their licenses."""
    columns = [Column(title="network", is_text=True), Column(title="timm's name", is_text=True)]
    columns += [Column(title=title) for title in ("layers", "layers, paper", "parameters", "parameters, paper")]
    texts = ["input", "weights", *["their license"] * bool(licenses)]
    columns += [Column(title=title, is_text=True) for title in texts]
    rows = []
    for variant, own in variants_of(groups).items():
        training, published = own[0].rows[0].training, TABLE4_NETWORKS.get(own[0].network)
        group, row = next(((group, row) for group in own for row in group.done if row.trained), (own[0], None))
        layers = parameters = gap(group.gap, group.anchor)
        size = nothing()
        if row is not None and row.trained is not None:
            number_of_layers, model = depth(row), row.trained.model
            layers = count(number_of_layers, anchor=group.anchor)
            if number_of_layers is None:
                layers = gap("model not here", group.anchor)
            parameters = count(model.parameters, anchor=group.anchor)
            size = words(f"{model.image_size} x {model.image_size}")
        beside = [nothing(), nothing()]
        if published is not None:
            millions = f"{published.parameters} M"
            beside = [
                count(published.layers, "paper"),
                Cell(text=millions, value=published.parameters * 10**6, look="paper"),
            ]
        cells = [words(variant), words(training.model), layers, beside[0], parameters, beside[1]]
        cells += [size, words(training.weights)]
        rows.append([*cells, *[words(licenses.get(own[0].rows[0].model.network, NONE))] * bool(licenses)])
    notes = [
        "Layers are the convolutions and fully connected layers on the longest way through the network; parameters are "
        "those of the trained network, whose last layer has an output for each label. The paper's are of Keras' "
        "networks for ImageNet's 1,000 classes.",
    ]
    return Table(name="table4", title="Table 4. Networks", columns=columns, rows=rows, notes=notes)


def settings_table(groups: Sequence[Group]) -> Table:
    """Table 5: by what settings the networks were trained, beside the paper's."""
    recipes: dict[str, list[Row]] = {}
    for group in groups:
        for row in group.rows:
            recipes.setdefault(row.model.recipe, []).append(row)
    columns = [Column(title="setting", is_text=True), Column(title="paper", is_text=True)]
    columns += [Column(title=f"recipe {recipe}", is_text=True) for recipe in recipes]
    published = {name: f"{value}" for name, value in TABLE5_SETTINGS.items()}
    names: tuple[str, ...] = (
        "epochs",
        "batch_size",
        "optimizer",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warmup",
        "loss",
        "ema",
    )
    names += ("image_size", "weights", "symmetries", "crop_scale", "jitter", "drop_rate", "keep", "precision")
    rows = [[words("package"), words("Keras"), *(words(_package(own)) for own in recipes.values())]]
    for name in names:
        told = [
            _told({_shown(row.training.to_dict()[name], name): row.network for row in own}, own, name)
            for own in recipes.values()
        ]
        rows.append([words(name.replace("_", " ")), words(published.get(name, NONE)), *map(words, told)])
    rows.append([words("threshold"), words(f"{PAPER_THRESHOLD:g}"), *(words(f"{PAPER_THRESHOLD:g}") for _ in recipes)])
    repeated = [_repetitions(groups, recipe) for recipe in recipes]
    rows.append([words("repetitions"), words(f"{REPETITIONS}, splits not told"), *map(words, repeated)])
    return Table(
        name="table5",
        title="Table 5. Settings of the fine-tuning",
        columns=columns,
        rows=rows,
        notes=["Every setting of each job stands in its own settings.yaml; the list of jobs leads there."],
    )


def _package(rows: Sequence[Row]) -> str:
    versions = [row.trained.run.versions for row in rows if row.trained is not None]
    found = dict.fromkeys(f"timm {one.get('timm', '?')}, torch {one.get('torch', '?')}" for one in versions)
    return "; ".join(found) or "not run yet"


def _shown(value: object, name: str) -> str:
    return "auto" if value is None and name in ("precision", "image_size") else f"{value}"


def _told(by_value: Mapping[str, str], rows: Sequence[Row], name: str) -> str:
    """Return the value of a setting; where networks differ, each value with its networks."""
    if len(by_value) == 1:
        return next(iter(by_value))
    networks: dict[str, list[str]] = {}
    for row in rows:
        own = networks.setdefault(_shown(row.training.to_dict()[name], name), [])
        if row.network not in own:
            own.append(row.network)
    most = max(networks, key=lambda value: len(networks[value]))
    others = (f"{value} ({', '.join(names)})" for value, names in networks.items() if value != most)
    return "; ".join([most, *others])


def _repetitions(groups: Sequence[Group], recipe: str) -> str:
    own = [group for group in groups if group.rows[0].model.recipe == recipe]
    numbers = sorted({len(group.rows) for group in own})
    splits = any(len({row.repetition[0] for row in group.rows}) > 1 for group in own)
    told = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{told}, each on a new split" if splits else f"{told}, on one split" if numbers[-1] > 1 else told


def pair_tests(groups: Sequence[Group], metric: str) -> tuple[PairTest, ...]:
    """Compare the networks of one protocol over the repetitions that each two of them have; none for fewer than two.

    The test is corrected by the numbers of images of the protocol's splits; where the repetitions share one split,
    nothing overlaps by chance, and the plain test speaks of that split alone.
    """
    done = {
        group.variant: {row.repetition: row for row in group.done if row.score(metric) is not None} for group in groups
    }
    done = {variant: rows for variant, rows in done.items() if rows}
    repetitions = sorted({repetition for rows in done.values() for repetition in rows})
    if len(done) < 2 or len(repetitions) < 2:
        return ()
    scores = {
        variant: [float(rows[one].score(metric)) if one in rows else math.nan for one in repetitions]  # type: ignore[arg-type]
        for variant, rows in done.items()
    }
    results = [row.trained for rows in done.values() for row in rows.values() if row.trained is not None]
    learned, measured = (results[0].data.images.get(split, 0) for split in ("train", results[0].scored_split))
    drawn_anew = len({split for split, _ in repetitions}) > 1
    return compare_pairs(scores, max(1, learned), measured if drawn_anew else 0)


def pair_tables(groups: Sequence[Group], metric: str, suffix: str) -> list[Table]:
    """Return the pairs of networks with the difference of a metric and how sure it is; none where nothing is tested."""
    columns = [
        *(Column(title=title, is_text=True) for title in ("first", "second")),
        *(Column(title=title) for title in ("difference", "95% from", "to", "p", "p, Holm", "repetitions")),
    ]
    rows: list[list[Cell]] = []
    sections = {}
    for protocol in protocols_of(groups):
        own = [group for group in groups if group.protocol == protocol]
        anchors = {group.variant: group.anchor for group in own}
        tests = pair_tests(own, metric)
        if tests:
            sections[len(rows)] = protocol_title(protocol)
        for test in tests:
            found = test.difference
            look: Literal["sure", ""] = "sure" if test.holm_p_value < LEVEL else ""
            rows.append(
                [
                    words(test.first, anchors[test.first]),
                    words(test.second, anchors[test.second]),
                    number(found.value, signed=True, look=look),
                    number(found.bounds.low, signed=True),
                    number(found.bounds.high, signed=True),
                    p_value(found.p_value),
                    p_value(test.holm_p_value, look),
                    count(found.samples),
                ]
            )
    title = metric_title(metric)
    notes = [
        "Corrected resampled t test over the repetitions (Nadeau and Bengio 2003), whose splits overlap; p is adjusted "
        f"for the number of pairs of a protocol by Holm (1979). Where it is below {LEVEL:.2g}, it is in bold.",
        "With few repetitions the test finds only large differences: what it does not find is not shown to be equal.",
    ]
    table = Table(
        name=f"pairs-{slug(title)}{suffix}",
        title=f"Pairs of networks, {title}, {groups[0].trained_on}",
        columns=columns,
        rows=rows,
        notes=notes,
        folded=True,
        sections=sections,
    )
    return [table] if rows else []


def _measured_how(row: Row) -> str:
    """Return the settings of an evaluation that are not at their default."""
    settings = {name: value for name, value in (row.job.evaluation or {}).items() if name not in HOW_MEASURED}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()) or NONE


def evaluation_table(groups: Sequence[Group]) -> Table:
    """Return the scores of models on other images, or measured otherwise, than in Tables 6 and 7."""
    texts = ("network", "learned from", "by", "measured on", "how")
    columns = [Column(title=title, is_text=True) for title in texts]
    columns += [Column(title="labels"), *(Column(title=metric_title(name)) for name in _HEADLINE)]
    rows = []
    for group in groups:
        row = next((row for row in group.done if row.evaluation is not None), None)
        common = None if row is None or row.evaluation is None else len(row.evaluation.labels)
        rows.append(
            [
                words(group.variant),
                words(group.trained_on),
                words(group.protocol or NONE),
                words(group.dataset),
                words(_measured_how(group.rows[0])),
                count(common),
                *(score_cell(group, name) for name in _HEADLINE),
            ]
        )
    notes = [
        "Where a model is measured on other images, labels that only one of the two datasets names are not scored."
    ]
    return Table(name="evaluations", title="Further evaluations of the models", columns=columns, rows=rows, notes=notes)


def leakage_table(groups: Sequence[Group], metric: str = "map") -> Table | None:
    """Return how much a metric falls where near-duplicates never part; None without both kinds of splits."""
    by_place: dict[tuple[str, str, str], Group] = {(g.trained_on, g.variant, g.protocol): g for g in groups}
    rows = []
    for (images, variant, protocol), group in by_place.items():
        other = by_place.get((images, variant, protocol.replace("ratio", "grouped")))
        if percent_of(protocol) is None or other is None:
            continue
        cells = [score_cell(one, metric) for one in (group, other)]
        there = all(cell.is_number for cell in cells)
        fall = float(cells[1].value) - float(cells[0].value) if there else None  # type: ignore[arg-type]
        rows.append(
            [words(variant), words(images), words(f"{percent_of(protocol)}%"), *cells, number(fall, signed=True)]
        )
    if not rows:
        return None
    columns = [Column(title=title, is_text=True) for title in ("network", "images", "train")]
    columns += [Column(title=title) for title in ("split at random", "near-duplicates together", "difference")]
    notes = [
        "What is lost where near-duplicates of training images are kept out of the test split: how far they flatter."
    ]
    return Table(
        name="leakage",
        title=f"Near-duplicates between splits, {metric_title(metric)}",
        columns=columns,
        rows=rows,
        notes=notes,
    )
