"""`mlrsnet predict`: predict, say what came out, and show pictures with their labels on a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.predict import Predicted, PredictionSummary, predict
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.reports.pages import render
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.runtime.logs import print_result

_MOST_PICTURES = 200
"""Of a page; so many take some 2 MB."""
_MOST_LISTED = 20
"""Lines of the terminal for images that could not be read, and for labels."""
_MOST_UNREADABLE = 200
"""Of a page."""


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One image of a page."""

    id: str
    picture: Image.Image | None
    labels: Mapping[str, float]
    """Scores of the labels above their thresholds, the highest first."""
    scene: str | None = None
    scene_score: float | None = None


def write_predictions(config: PredictionConfig, data: ImageSet) -> PredictionSummary | None:
    """Predict images, write the table and the page, and print what came out.

    All processes of an `accelerate launch` call it; see `prediction.predict.predict`, and there what is raised.

    Returns:
        What was predicted; None on other processes than the main one.
    """
    summary = predict(config, data, write_page)
    if summary is not None:
        print_result("\n".join(_lines(summary)))
        print_result(f"predictions: {config.table}")
        if config.html is not None:
            print_result(f"page: {config.html}")
    return summary


def _lines(summary: PredictionSummary) -> list[str]:
    """Return what is printed: labels by number of images, speed, and what could not be read."""
    counts = [(name, f"{count:,}") for name, count in (summary.labels or summary.scenes).items()]
    lines = (
        aligned([("label" if summary.labels else "scene", "images"), *counts[:_MOST_LISTED]], "<>") if counts else []
    )
    if len(counts) > _MOST_LISTED:
        lines.append(f"and {len(counts) - _MOST_LISTED} more")
    earlier = f", {summary.earlier:,} of them by an earlier run" if summary.earlier else ""
    speed = f"; {summary.images_per_second:,.0f} images/s" if summary.earlier < summary.images else ""
    lines.append(f"{summary.images:,} images{earlier}{speed}")
    return lines + unreadable_lines(summary.unreadable, "of them", " (column error)")


def unreadable_lines(unreadable: Sequence[tuple[str, str]], of: str, where: str = "") -> list[str]:
    """Return what is printed of images or scenes that could not be read: name and reason of each.

    Args:
        unreadable: Names and reasons.
        of: Of what they are some, such as `of 3 scenes`.
        where: Where all of them are told, in brackets.
    """
    if not unreadable:
        return []
    lines = [f"{len(unreadable):,} {of} could not be read{where}:"]
    lines += [f"  {on_one_line(name)}: {on_one_line(reason)}" for name, reason in unreadable[:_MOST_LISTED]]
    if len(unreadable) > _MOST_LISTED:
        lines.append(f"  and {len(unreadable) - _MOST_LISTED:,} more")
    return lines


def write_page(predicted: Predicted, page: Path) -> None:
    """Write the page of a finished run: of many images some, evenly spread.

    Raises:
        ConfigurationError: It cannot be written.
    """
    content = render_predictions(predicted, shown_images(predicted))
    with whole_file(page) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")


def shown_images(predicted: Predicted, most: int = _MOST_PICTURES) -> list[ShownImage]:
    """Return the images that a page shows, small, in their order: at most so many of those that could be read."""
    failed = {name for name, _ in predicted.summary.unreadable}
    readable = [row for row, name in enumerate(predicted.pictures.ids) if name not in failed]
    rows = [readable[place * len(readable) // min(most, len(readable))] for place in range(min(most, len(readable)))]
    pictures = predicted.pictures.to_look_at(rows)
    shown = []
    for shard, predictions in zip(predicted.shards, predicted.rows(), strict=True):
        places = [row - shard.rows.start for row in rows if row in shard.rows]
        columns = predicted.form.columns(predictions) if places else {}
        for place, picture in zip(places, pictures, strict=False):  # these go on behind the shard
            if picture is not None:
                picture.thumbnail((224, 224))  # so that not all are held as large as they are
            labels, scores = (columns[name][place] if name in columns else () for name in ("labels", "scores"))
            scene, score = (columns[name][place] if name in columns else None for name in ("scene", "scene_score"))
            shown.append(
                ShownImage(columns["id"][place], picture, dict(zip(labels, scores, strict=True)), scene, score)
            )
    return shown


def render_predictions(predicted: Predicted, images: Sequence[ShownImage]) -> str:
    """Return the page."""
    summary, classifier = predicted.summary, predicted.classifier
    read = summary.images - len(summary.unreadable)
    about = [f"{read:,} images of {predicted.pictures.name}, labeled by {classifier.model.name}."]
    if len(images) < read:
        about.append(f"{len(images)} of them are shown, evenly spread; the table {summary.output.name} has all.")
    if predicted.pictures.is_mlrsnet:
        about.append(IMAGERY)
    thresholds = sorted(set(classifier.thresholds.tolist()))
    made = [f"Model {classifier.model.name}, fingerprint {classifier.fingerprint[:16]}."]
    if len(thresholds) == 1:
        made.append(f"An image has a label whose score lies above {thresholds[0]:.3g}.")
    elif thresholds:
        made.append(
            f"An image has a label whose score lies above the label's own threshold, {thresholds[0]:.3g} to "
            f"{thresholds[-1]:.3g}."
        )
    made += [f"{note[:1].upper()}{note[1:]}." for note in classifier.notes]
    if classifier.symmetries > 1:
        made.append(f"Each score is of the mean logit of {classifier.symmetries} turned and mirrored views.")
    shown = {label for image in images for label in image.labels}
    choices = [label for label in summary.labels if label in shown]
    return render(
        "predictions.html",
        title=f"Predictions: {predicted.pictures.name}",
        about=about,
        counts=summary.labels or summary.scenes,
        kind="label" if predicted.form.labels else "scene",
        choices={label: place for place, label in enumerate(choices)},
        images=images,
        unreadable=summary.unreadable[:_MOST_UNREADABLE],
        more_unreadable=len(summary.unreadable) - _MOST_UNREADABLE,
        unreadable_count=len(summary.unreadable),
        made=made,
    )
