"""`mlrsnet evaluate`: predict or read predictions, score them, write tables and the page, say what came out."""

import csv
import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from datasets import Dataset

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.evaluation.scores import Metrics
from mlrsnet_hf.files import refuse_existing, whole_folder
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_split
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.prediction.compare import COMPARISON, Comparison, ScoreDifference, compare_models, same_images
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.evaluate import Evaluated, Load, evaluate_model, find_saved
from mlrsnet_hf.prediction.evaluation import EVALUATION, EvaluationResult, draw_saved, summarize
from mlrsnet_hf.prediction.labeling_tools import write_fiftyone, write_label_studio
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS, SavedPredictions, read_predictions
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.reports.evaluation.page import (
    Difference,
    EvaluatedModel,
    PageTable,
    ScoreColumn,
    ScoreTable,
    write_evaluation_page,
)
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, inference_accelerator
from mlrsnet_hf.runtime.logs import get_logger, print_result

PAGE = "evaluation.html"
FIGURE = "fig9_examples.png"
"""Images with the labels of the model, of two that of the first; for cards and papers."""
TABLE = "comparison.csv"
SIDES = ("first", "second")
"""Folders of the evaluations of two models."""

logger = get_logger(__name__)

_OF_SCENES = ("sample_f1", "map", "micro_f1", "macro_f1")
"""Scores of the images of each scene that the page shows; evaluation.json has all."""


def write_evaluation(models: Sequence[str], config: EvaluationConfig, data: DataConfig) -> None:
    """Evaluate one model, or compare two on the same images, and write what came out as a folder.

    The folder holds `evaluation.json`, `predictions.parquet`, `evaluation.html` and `fig9_examples.png`; of two models
    `comparison.json` and `comparison.csv`, page and figure, and for each model a folder with its evaluation. It appears
    when it is whole. In the place of a model its saved predictions may stand, which need neither network nor images;
    then the page is written where the options of the data say where the images are. All processes of an `accelerate
    launch` call it.

    Args:
        models: One or two: folders of runs, repositories of the Hub, or saved predictions.
        config: What is measured, and how.
        data: The images.

    Raises:
        MLRSNetError: A model, the data or the target cannot be used.
    """
    if len(models) not in (1, 2):
        raise ConfigurationError(f"{len(models)} models are given", "Give one, or two to be compared.")
    target = config.output_dir.expanduser()
    accelerator = inference_accelerator(config.precision)
    with ended_together(accelerator):
        processes = Collectives(accelerator)
        processes.run_on_main(lambda: refuse_existing(target))
        load = lru_cache(load_split)
        found = [_evaluated(name, config, data, accelerator, load) for name in models]
        processes.run_on_main(lambda: _write(found, config, data, target))


def _evaluated(
    name: str, config: EvaluationConfig, data: DataConfig, accelerator: Accelerator, load: Load
) -> tuple[SavedPredictions, Dataset | None]:
    """Return a model's predictions, and the images where they are at hand."""
    path = find_saved(name)
    if path is None:
        evaluated: Evaluated = evaluate_model(name, config, data, accelerator, load)
        return evaluated.saved, evaluated.rows
    return Collectives(accelerator).run_on_main(lambda: _read(path, config, data))


def _read(path: Path, config: EvaluationConfig, data: DataConfig) -> tuple[SavedPredictions, Dataset | None]:
    if config.thresholds_from is not None:
        raise ConfigurationError(
            f"thresholds_from={config.thresholds_from!r} needs the model, and {path} holds predictions of one split",
            "Give the model, or --thresholds with a number.",
        )
    saved = read_predictions(path)
    if config.thresholds != "model":
        thresholds = dict.fromkeys(saved.info.thresholds, config.thresholds)
        info = dataclasses.replace(
            saved.info,
            thresholds=thresholds,
            thresholds_from=f"{config.thresholds:g} for all labels",
            threshold_notes=(),
        )
        saved = dataclasses.replace(saved, info=info)
    return saved, _images(saved, config, data) if changed_settings(data) else None


def _images(saved: SavedPredictions, config: EvaluationConfig, data: DataConfig) -> Dataset:
    """Return the images of saved predictions, in their order.

    Raises:
        ConfigurationError: One of them is not in the data.
    """
    name = saved.info.data.split if config.split == "test" else config.split
    rows = load_split(data, name).rows
    places = {image: row for row, image in enumerate(rows["id"][:])}
    missing = [image for image in saved.ids if image not in places]
    if missing:
        raise ConfigurationError(
            f"split {name!r} of the data has no image {missing[0]!r}, of which there is a prediction",
            "Give the --dataset and --split that the predictions are of, or no dataset for no page.",
        )
    return _in_order(rows, saved.ids)


def _in_order(rows: Dataset, ids: Sequence[str]) -> Dataset:
    """Return the images of some ids, in their order."""
    there = tuple(rows["id"][:])
    if there == tuple(ids):
        return rows
    places = {image: row for row, image in enumerate(there)}
    return rows.select(np.array([places[image] for image in ids]))


def _write(
    found: Sequence[tuple[SavedPredictions, Dataset | None]], config: EvaluationConfig, data: DataConfig, target: Path
) -> None:
    """Write the folder, and print the scores; on the main process."""
    saved = [one for one, _ in found]
    rows = next((images for _, images in found if images is not None), None)
    exports = config.to_fiftyone or config.to_label_studio
    if rows is None and exports:
        raise ConfigurationError(
            "--to-fiftyone and --to-label-studio need the images", "Give the dataset that the predictions are of."
        )
    logger.info("scores of %s images, in %s draws", f"{len(saved[0].ids):,}", f"{config.draws:,}")
    with whole_folder(target) as folder:
        if len(saved) == 2:
            comparison = compare_models(saved[0], saved[1], config.draws)
            rows = None if rows is None else _in_order(rows, saved[0].ids)
            comparison.save(folder / COMPARISON)
            _write_table(folder / TABLE, *comparison.table())
            for side, one in zip(SIDES, saved, strict=True):
                (folder / side).mkdir()
                if config.save_predictions:
                    one.write(folder / side / PREDICTIONS)
                _summary(one, config).save(folder / side / EVALUATION)
            report = comparison.report()
            if rows is not None and config.page:
                _comparison_page(folder / PAGE, saved, comparison, rows)
        else:
            result = _summary(saved[0], config)
            if config.save_predictions:
                saved[0].write(folder / PREDICTIONS)
            result.save(folder / EVALUATION)
            report = result.report()
            if rows is not None and config.page:
                _page(folder / PAGE, saved[0], result, rows)
        if rows is not None and config.page:
            _draw_examples(folder / FIGURE, saved[0], rows)
        if rows is not None and config.to_fiftyone:
            write_fiftyone(folder / "fiftyone", saved, rows)
        if rows is not None and config.to_label_studio:
            written = folder / "fiftyone" if config.to_fiftyone else None
            write_label_studio(folder / "label-studio", saved, rows, written)
        has_page = (folder / PAGE).is_file()
    print_result(report)
    look = f", to be looked at: {config.output_dir / PAGE}" if has_page else ""
    print_result(f"results: {config.output_dir}{look}")


def _summary(saved: SavedPredictions, config: EvaluationConfig) -> EvaluationResult:
    return summarize(saved, draw_saved(saved, config.draws))


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([for_csv(cell) for cell in row] for row in rows)


def _page(path: Path, saved: SavedPredictions, result: EvaluationResult, rows: Dataset) -> None:
    write_evaluation_page(
        path,
        title=result.title,
        task=saved.task,
        ids=saved.ids,
        rows=rows,
        model=_shown(saved),
        scores=[ScoreTable(columns=_columns(result))],
        tables=_scene_tables(result),
        about=_about(result),
        notes=[_sentence(note) for note in result.notes()],
        attribution=IMAGERY if saved.info.data.is_mlrsnet else "",
    )


def _comparison_page(path: Path, saved: Sequence[SavedPredictions], comparison: Comparison, rows: Dataset) -> None:
    first, second = same_images(saved[0], saved[1])
    names = [result.info.model.name for result in (comparison.first, comparison.second)]
    if names[0] == names[1]:
        names = [f"{names[0]} ({number})" for number in (1, 2)]
    write_evaluation_page(
        path,
        title=f"{names[0]} and {names[1]} on {comparison.first.info.data.name}",
        task=first.task,
        ids=first.ids,
        rows=_in_order(rows, first.ids),
        model=dataclasses.replace(_shown(first), name=names[0]),
        compared=dataclasses.replace(_shown(second), name=names[1]),
        scores=_score_tables(comparison, names),
        label_differences={row.label: _as_difference(row.average_precision) for row in comparison.labels},
        about=_about(comparison.first, comparison.second),
        notes=[
            f"{name}: {_sentence(note)}"  # a name stays as it is
            for name, result in zip(names, (comparison.first, comparison.second), strict=True)
            for note in result.notes()
        ],
        attribution=IMAGERY if saved[0].info.data.is_mlrsnet else "",
    )


def _draw_examples(path: Path, saved: SavedPredictions, rows: Dataset) -> None:
    """Draw Fig. 9; of a comparison the images are in the order of the model that has them."""
    from mlrsnet_hf.reports.evaluation.figure import write_example_figure

    shown = _shown(saved)
    places = {image: row for row, image in enumerate(rows["id"][:])}
    images = rows.select(np.array([places[image] for image in saved.ids]))
    write_example_figure(path, saved.ids, images, shown.decisions(saved.task))


def _shown(saved: SavedPredictions) -> EvaluatedModel:
    return EvaluatedModel(name=saved.info.model.name, predictions=saved.predictions, thresholds=saved.thresholds)


def _score_tables(comparison: Comparison, names: Sequence[str]) -> list[ScoreTable]:
    """Return the scores of two models side by side: at 0.5, then at their thresholds those that depend on them."""
    sides = comparison.first, comparison.second
    at_half = [(side.scores, side.intervals.scores) for side in sides]
    found = [("", at_half, comparison.scores)]
    if comparison.at_thresholds is not None:
        tuned = [
            (_of_thresholds(side.at_thresholds or side.scores), side.intervals.tuned or side.intervals.scores)
            for side in sides
        ]
        found = [("At the threshold 0.5", at_half, comparison.scores)]
        found.append(("At the thresholds of each model", tuned, comparison.at_thresholds))
    return [
        ScoreTable(
            title=title,
            columns=[
                ScoreColumn(title=name, scores=scores, intervals=intervals, is_compared=number == 1)
                for number, (name, (scores, intervals)) in enumerate(zip(names, columns, strict=True))
            ],
            differences={name: _as_difference(one) for name, one in differences.items()},
        )
        for title, columns, differences in found
    ]


def _columns(result: EvaluationResult) -> list[ScoreColumn]:
    """Return the scores of one model: at 0.5, then at its thresholds those that depend on them."""
    title = "score" if result.info.kind == "scene" else "at 0.5"
    columns = [ScoreColumn(title=title, scores=result.scores, intervals=result.intervals.scores)]
    if result.at_thresholds is not None:
        scores = _of_thresholds(result.at_thresholds)
        columns.append(ScoreColumn(title="at the thresholds", scores=scores, intervals=result.intervals.tuned))
    return columns


def _of_thresholds(scores: Metrics) -> Metrics:
    """Return the scores of decisions, which thresholds change."""
    return {name: value for name, value in scores.items() if name in METRICS and METRICS[name].takes_threshold}


def _as_difference(one: ScoreDifference) -> Difference:
    return Difference(value=one.difference, interval=one.bounds)


def _scene_tables(result: EvaluationResult) -> list[PageTable]:
    """Return the table of the scores of each scene's images, if scenes are known."""
    if not result.scenes:
        return []
    names = [name for name in _OF_SCENES if name in result.scenes[0].scores]
    rows = [
        [scene.scene, f"{scene.images:,}", *(_cell(scene.scores.get(name, float("nan"))) for name in names)]
        for scene in result.scenes
    ]
    header = ["scene", "images", *map(metric_title, names)]
    return [PageTable(title="Labels in the images of each scene, at the thresholds", header=header, rows=rows)]


def _cell(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"


def _about(result: EvaluationResult, compared: EvaluationResult | None = None) -> list[str]:
    """Return what was measured, a line each; two models are measured on the same data."""
    info, data = result.info, result.info.data
    lines = [f"{data.name}, split {data.split}: {data.images:,} images"]
    if data.protocol:
        seed = "" if data.split_seed is None else f", split seed {data.split_seed}"
        lines.append(f"Protocol {data.protocol}{seed}")
    if data.label_version:
        lines.append(f"Labels {data.label_version}")
    if info.kind != "scene":
        sides = [info] if compared is None else [info, compared.info]
        sources = list(dict.fromkeys(side.thresholds_from for side in sides))
        lines.append(f"Thresholds: those of {' and those of '.join(sources)}")
    if info.symmetries > 1:
        lines.append(f"Logits averaged over {info.symmetries} turned and mirrored views of each image")
    return [*lines, _sentence(f"Intervals are {result.intervals_text}")]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
