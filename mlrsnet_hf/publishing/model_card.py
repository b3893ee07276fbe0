"""The card of a model, rendered from what its run says of itself."""

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.metrics.citations import PAPER
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.publishing import model_card_code, model_card_tables
from mlrsnet_hf.publishing.origin import UNKNOWN_LICENCE, Origin, license_fields
from mlrsnet_hf.publishing.run_results import RunResults

_TEMPLATE = "model_card.md"
_LISTED = 8
"""Names of labels in one sentence; the table of labels has them all."""
CURVES = "curves.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A card, and with it the model's place on the Hub."""

    repo_id: str
    results: RunResults
    origin: Origin
    """The weights that training began with."""
    given_license: str | None = None
    """The weights' license as their publisher says; by default that of their origin."""
    revision: str | None = None
    """The branch that the card lies on; main by default."""
    dataset_id: str | None = None
    """The repository of the data, if there is one."""
    file_names: tuple[str, ...] = ()
    """What lies beside the card."""

    @property
    def name(self) -> str:
        """The repository's name, without its owner."""
        return self.repo_id.partition("/")[2]

    def render(self) -> str:
        """Return the card: Markdown under a YAML header."""
        template = Template((files("mlrsnet_hf.publishing") / "templates" / _TEMPLATE).read_text(encoding="utf-8"))
        results = self.results
        thresholds = bool(results.tuned) and results.task != "scene"
        text = template.substitute(
            front_matter=self._header().to_yaml(),
            title=self.name,
            architecture=results.model["architecture"],
            learned=_learned(results),
            beginning=_beginning(self.origin),
            data=_data(results, self.dataset_id),
            results_note=_results_note(results),
            score_table=model_card_tables.score_table(results),
            score_notes=_score_notes(results),
            comparison=model_card_tables.comparison(results),
            timm_code=model_card_code.timm_code(self.repo_id, self.revision, results.task, thresholds),
            transformers_code=model_card_code.transformers_code(self.repo_id, self.revision, results.task, thresholds),
            use_note=_use_note(self, thresholds),
            recipe_table=model_card_tables.recipe_table(results),
            recipe_note=_recipe_note(results),
            curves=f"\n![Loss and scores by epoch]({CURVES})\n\n" if CURVES in self.file_names else "\n",
            classes="Scenes" if results.task == "scene" else "Labels",
            label_note=_label_note(results),
            label_table=model_card_tables.label_table(results),
            limits=_limits(results),
            files=model_card_tables.file_list(self.file_names),
            license=_license(self),
            citation=f"\n```bibtex\n{PAPER}\n```" if results.is_mlrsnet else "",
        )
        return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"  # of parts that are left out

    @property
    def license(self) -> str:
        """The weights' license."""
        return self.given_license or self.origin.license

    def _header(self) -> ModelCardData:
        results = self.results
        multi_label = [] if results.task == "scene" else ["multi-label"]
        mlrsnet = ["mlrsnet"] if results.is_mlrsnet else []
        remote_sensing = ["remote-sensing"] if results.is_mlrsnet or results.is_synthetic else []
        evaluated = model_index(results, self.dataset_id)
        return ModelCardData(
            **license_fields(self.license, self.origin),
            library_name="timm",
            pipeline_tag=TASK,
            tags=[TASK, "timm", "transformers", *multi_label, *remote_sensing, *mlrsnet],
            datasets=[self.dataset_id] if self.dataset_id else None,
            base_model=self.origin.repository,
            metrics=list(dict.fromkeys(result.metric_type for result in evaluated)),
            model_name=self.name,
            eval_results=evaluated,
        )


def _learned(results: RunResults) -> str:
    labels, scenes = len(results.data["label_names"]), len(results.data.get("scene_names") or ())
    what = {
        "labels": f"names the labels of an image, any number of {labels}",
        "labels+scene": f"names the labels of an image, any number of {labels}, and its scene, one of {scenes}",
        "scene": f"names the scene of an image, one of {scenes}",
    }[results.task]
    return (
        f"({results.model['parameters'] / 1e6:.1f} million parameters, {results.model['image_size']} pixels) {what}. "
    )


def _beginning(origin: Origin) -> str:
    return f"It was fine-tuned from {origin.words}." if origin.words else "It was trained from random weights."


def _data(results: RunResults, dataset_id: str | None) -> str:
    source, total = results.data, sum(results.images.values())
    link = f" ([{dataset_id}](https://huggingface.co/datasets/{dataset_id}))" if dataset_id else ""
    held_out = " (held out of train)" if source.get("held_out") else ""
    sizes = ", ".join(
        f"{name} {count:,}{held_out if name == 'validation' else ''}" for name, count in results.images.items() if count
    )
    drawn = f", protocol `{source['protocol']}`" if source.get("protocol") else ""
    seed = f", seed {source['split_seed']}" if source.get("split_seed") is not None else ""
    text = f"The data is {results.dataset_name}{link}{drawn}{seed}: {sizes} images.\n{_protocol(results)}"
    if results.is_synthetic:
        return text + "The images are drawn: scores on them say that the software works, nothing about real images.\n"
    if not results.is_mlrsnet:
        return text
    if not results.is_whole_release:
        text += (
            f"These are {total:,} images in the form of the MLRSNet release, which has {TOTAL_IMAGES:,}: a part of it, "
            "or others in its layout. The scores compare with nobody's on MLRSNet.\n"
        )
    return text + _label_version(results)


def _label_version(results: RunResults) -> str:
    source = results.data
    if source.get("labels") is None:
        return f"Which version of MLRSNet's labels it has, {source.get('dataset')} says, not this run.\n"
    if source["labels"] == "as-published":
        return "The labels are as its label files have them, published faults included.\n"
    of_release = "" if results.is_whole_release else "for MLRSNet "
    text = f"The labels are the verified ones, {of_release}those of the first publication in 2020"
    if source.get("repaired") is not None:
        text += (
            f"; {source['repaired']:,} of these rows had to be repaired, as those of the faulty files "
            "published since 2021 have"
        )
    return text + ".\n"


def _protocol(results: RunResults) -> str:
    """Return how MLRSNet's images were divided."""
    match = re.fullmatch(r"(ratio|grouped)(\d+)", str(results.data.get("protocol")))
    if not results.is_mlrsnet or not match:
        return ""
    way = {"ratio": "drawn at random", "grouped": "drawn so that near-duplicates that were found never part"}[match[1]]
    share = int(match[2])
    return f"Of each scene {share} percent train, 10 validate and {90 - share} test, {way}.\n"


def _results_note(results: RunResults) -> str:
    if results.split == "test":
        return ""
    chosen = ["the epoch"] if results.config.get("keep") != "last" else []
    chosen += ["the thresholds"] if results.tuned else []
    if not chosen:
        return "\n**There is no test split.** The scores are those of the validation split.\n"
    return (
        f"\n**There is no test split.** The scores are those of the validation split, which chose "
        f"{' and '.join(chosen)}: they flatter.\n"
    )


def _score_notes(results: RunResults) -> str:
    views = results.eval_symmetries
    notes = [f"All values are fractions of 1. The model is that of epoch {results.scored_epoch}."]
    if views > 1:
        notes.append(
            f"The logits were averaged over {views} turned and mirrored views of each image; the code below takes one "
            "view, which this run did not measure on its own."
        )
    if {"sample_f1", "f1_of_means"} <= set(results.values):
        notes.append(
            "sample-F1 is the mean of the images' F1, F1 of means the F1 of mean precision and mean recall; the "
            "wording of the MLRSNet paper fits both."
        )
    if "map" in results.values:
        notes.append("mAP is the mean over the labels that occur in the split.")
    if results.tuned_values:
        notes.append("Tuned thresholds are one per label, chosen on the validation split for the best F1 of the label.")
    if results.untuned:
        more = f" and {len(results.untuned) - _LISTED} more" if len(results.untuned) > _LISTED else ""
        listed = ", ".join(results.untuned[:_LISTED])
        notes.append(f"No validation image has {listed}{more}: threshold 0.5 is kept there.")
    return " ".join(notes) + "\n"


def _use_note(card: ModelCard, thresholds: bool) -> str:
    results = card.results
    if results.task == "scene":
        return "The outputs are logits of one class per image: take the softmax.\n"
    text = (
        "The outputs are logits, one per label: take the sigmoid, not the softmax, and compare with a threshold each. "
    )
    if thresholds:
        text += "The tuned ones are in `config.json`."
    if results.task == "labels+scene":
        text += f"\n\n{model_card_code.scene_head_code(card.repo_id, card.revision)}"
    return text.rstrip() + "\n"


def _recipe_note(results: RunResults) -> str:
    recipe = f"Recipe `{results.recipe}` of" if results.recipe else "Trained with"
    seconds, run = results.run.get("seconds") or 0, results.run
    where = f"on {run['device']}" if run.get("device") else ""
    time = f"{seconds / 60:,.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
    took = f" It took {time} {where}".rstrip() + "." if seconds else ""
    return (
        f"{recipe} `mlrsnet-hf`.{took} `settings.yaml` holds every setting and "
        "can be given back as `--config`, with the places of files filled in; `history.csv` has a line per epoch.\n"
    )


def _label_note(results: RunResults) -> str:
    absent = sum(not row["images"] for row in results.labels)
    if results.task == "scene":
        text = f"On the {results.split} split: images of the scene, average precision, F1 of the highest score"
        return text + (f". Scenes that do not occur there have no score: {absent}." if absent else ".")
    text = f"On the {results.split} split: images with the label, average precision, F1"
    text += " and threshold, tuned on validation" if results.tuned else " at threshold 0.5"
    return text + (f". Labels that do not occur there have no score: {absent}." if absent else ".")


def _limits(results: RunResults) -> str:
    known = results.is_mlrsnet or results.is_synthetic
    what = "scenes seen from above" if known else f"images like those of {results.dataset_name}"
    lines = [
        f"- For research on {what}: searching, sorting and describing archives, and a start for other tasks. Not for "
        "decisions about people or places without somebody who looks at the image.",
        "- Images of another resolution, season, region or sensor than those it was trained on may be named worse; "
        "nothing here measures it. It takes three channels, red, green and blue.",
        "- Scores are confidences, not calibrated probabilities.",
    ]
    if results.is_mlrsnet:
        lines += [
            "- Protocols that draw images at random (`ratio20`, `ratio30`, `ratio40`) put near-duplicates of training "
            "images into the test split, for neighboring images of MLRSNet overlap; scores on them flatter.",
            "- The labels describe what the annotators of MLRSNet marked in 46 scenes; they follow the scene closely, "
            "so that the model also guesses labels from the scene.",
        ]
    return "\n".join(lines) + "\n"


def _license(card: ModelCard) -> str:
    results, origin = card.results, card.origin
    if card.given_license:
        text = f"The weights are under {card.given_license}, as their publisher says."
        if origin.words:
            text += f" Training began with {origin.words}, whose license holds too."
    elif not origin.words:
        text = f"The weights are under {card.license}."
    elif card.license == UNKNOWN_LICENCE:
        text = f"Training began with {origin.words}; this card does not know their license, which holds for these too."
    else:
        text = f"The weights are under {card.license}, the license of {origin.words}, which training began with."
    if results.is_mlrsnet:
        text += (
            " MLRSNet is the work of its authors, under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); "
            "name and cite them when you use a model trained on it."
        )
    elif not results.is_synthetic:
        text += f" {results.dataset_name} has terms of its own, which its publishers state."
    return text + "\n"


TASK = "image-classification"
_METRIC_TYPES = {"map": "map", "scene_accuracy": "accuracy", "subset_accuracy": "accuracy"}


def model_index(results: RunResults, dataset_id: str | None) -> list[EvalResult]:
    """Return the entries of the scored split: at 0.5, then at tuned thresholds those of metrics that take one."""
    tuned = {name: value for name, value in results.tuned_values.items() if _takes_threshold(results, name)}
    return [
        *(_entry(results, dataset_id, name, value, tuned=False) for name, value in results.values.items()),
        *(_entry(results, dataset_id, name, value, tuned=True) for name, value in tuned.items()),
    ]


def metric_arguments(results: RunResults, name: str, tuned: bool = False) -> dict[str, Any]:
    """Return what a score depends on beside the model and the images: `threshold` and `views`, as far as it does."""
    threshold = {"threshold": "one per label, tuned on validation" if tuned else 0.5}
    views = {"views": results.eval_symmetries}
    return (threshold if _takes_threshold(results, name) else {}) | (views if results.eval_symmetries > 1 else {})


def _takes_threshold(results: RunResults, name: str) -> bool:
    """Tell whether a score is one of decisions on labels; a scene is the one with the highest score."""
    return results.task != "scene" and name in METRICS and METRICS[name].from_report is not None


def _entry(results: RunResults, dataset_id: str | None, name: str, value: float, tuned: bool) -> EvalResult:
    source, held_out = results.data, results.split == "validation" and results.data.get("held_out")
    arguments = {
        "seed": source.get("split_seed"),
        "labels": source.get("labels"),
        "held_out": held_out or None,
    }
    views = f", {results.eval_symmetries} views" if results.eval_symmetries > 1 else ""
    return EvalResult(
        task_type=TASK,
        task_name="Image classification" if results.task == "scene" else "Multi-label image classification",
        dataset_type=dataset_id or results.dataset_name.lower(),
        dataset_name="MLRSNet, a part" if results.is_mlrsnet and not results.is_whole_release else results.dataset_name,
        dataset_config=source.get("protocol"),
        dataset_split="train" if held_out else results.split,
        dataset_args={key: value for key, value in arguments.items() if value is not None} or None,
        metric_type=_METRIC_TYPES.get(name, "f1" if "f1" in name else name),
        metric_name=metric_title(name) + (", tuned thresholds" if tuned else "") + views,
        metric_value=round(value, 6),
        metric_args=metric_arguments(results, name, tuned) or None,
    )
