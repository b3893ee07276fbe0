"""The card of a model, rendered from what its run says of itself."""

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from huggingface_hub import EvalResult, ModelCardData

from mlrsnet_hf.metrics.citations import PAPER
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.publishing import model_card_code, model_card_tables
from mlrsnet_hf.publishing.run_results import PRETRAINED, RANDOM, RunResults, metric_title

_TEMPLATE = "model_card.md"
CURVES = "curves.png"
UNKNOWN_LICENCE = "unknown"
"""What the Hub calls a licence that is not known."""
_TASK = "image-classification"
_METRIC_TYPES = {"map": "map", "scene_accuracy": "accuracy", "subset_accuracy": "accuracy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A card, and with it the model's place on the Hub."""

    repo_id: str
    results: RunResults
    licence: str
    """The weights' licence, by the Hub's name for it."""
    base_model: str | None = None
    """The repository of the weights that training began with, if it is known."""
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
            learnt=_learnt(results),
            beginning=_beginning(results, self.base_model),
            data=_data(results, self.dataset_id),
            results_note=_results_note(results),
            score_table=model_card_tables.score_table(results),
            score_notes=_score_notes(results),
            comparison=model_card_tables.comparison(results),
            timm_code=model_card_code.timm_code(self.repo_id, results.task, thresholds),
            transformers_code=model_card_code.transformers_code(self.repo_id, results.task, thresholds),
            use_note=_use_note(results, thresholds),
            recipe_table=model_card_tables.recipe_table(results),
            recipe_note=_recipe_note(results),
            curves=f"\n![Loss and scores by epoch]({CURVES})\n\n" if CURVES in self.file_names else "\n",
            label_note=_label_note(results),
            label_table=model_card_tables.label_table(results),
            limits=_limits(results),
            files=model_card_tables.file_list(self.file_names),
            licence=_licence(self.licence, self.base_model, results),
            citation=f"\n```bibtex\n{PAPER}\n```" if results.is_mlrsnet else "",
        )
        return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"  # of parts that are left out

    def _header(self) -> ModelCardData:
        results = self.results
        multi_label = [] if results.task == "scene" else ["multi-label"]
        mlrsnet = ["mlrsnet"] if results.is_mlrsnet else []
        evaluated = [*_eval_results(self, tuned=False), *_eval_results(self, tuned=True)]
        return ModelCardData(
            license=self.licence,
            library_name="timm",
            pipeline_tag=_TASK,
            tags=[_TASK, "timm", "transformers", *multi_label, "remote-sensing", *mlrsnet],
            datasets=[self.dataset_id] if self.dataset_id else None,
            base_model=self.base_model,
            metrics=list(dict.fromkeys(result.metric_type for result in evaluated)),
            model_name=self.name,
            eval_results=evaluated,
        )


def _eval_results(card: ModelCard, tuned: bool) -> list[EvalResult]:
    """Return the model-index entries; at tuned thresholds, those of metrics that take one."""
    results = card.results
    values = results.tuned_values if tuned else results.values
    changed = {name: value for name, value in values.items() if not tuned or value != results.values.get(name)}
    source = results.data
    arguments = {"seed": source.get("split_seed"), "labels": source.get("labels")}
    return [
        EvalResult(
            task_type=_TASK,
            task_name="Image classification" if results.task == "scene" else "Multi-label image classification",
            dataset_type=card.dataset_id or results.dataset_name.lower(),
            dataset_name=results.dataset_name
            if results.is_whole_release or not results.is_mlrsnet
            else "MLRSNet, a part",
            dataset_config=source.get("protocol"),
            dataset_split=results.split,
            dataset_args={key: value for key, value in arguments.items() if value is not None} or None,
            metric_type=_METRIC_TYPES.get(name, "f1" if "f1" in name else name),
            metric_name=metric_title(name) + (", tuned thresholds" if tuned else ""),
            metric_value=round(value, 6),
            metric_args=_threshold(name, tuned),
        )
        for name, value in changed.items()
    ]


def _threshold(name: str, tuned: bool) -> dict[str, float | str] | None:
    if name in ("map", "scene_accuracy", "scene_macro_f1", "calibration_error"):
        return None
    return {"threshold": "one per label, tuned on validation" if tuned else 0.5}


def _learnt(results: RunResults) -> str:
    labels, scenes = len(results.data["label_names"]), len(results.data.get("scene_names") or ())
    what = {
        "labels": f"names the labels of an image, any number of {labels}",
        "labels+scene": f"names the labels of an image, any number of {labels}, and its scene, one of {scenes}",
        "scene": f"names the scene of an image, one of {scenes}",
    }[results.task]
    return (
        f"({results.model['parameters'] / 1e6:.1f} million parameters, {results.model['image_size']} pixels) {what}. "
    )


def _beginning(results: RunResults, base_model: str | None) -> str:
    weights = results.model["weights"]
    if weights == RANDOM:
        return "It was trained from random weights."
    if weights == PRETRAINED:
        return f"It was fine-tuned from {f'`{base_model}`' if base_model else 'timm pretrained weights'}."
    return "It was fine-tuned from a file of weights."


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
    if source.get("labels") == "as-published":
        return text + "The labels are as its label files have them, published faults included.\n"
    repaired = f"{source['repaired']:,}" if source.get("repaired") else "none"
    return text + (
        f"The labels are the verified ones, those of the first publication in 2020; {repaired} of these rows had to be "
        "repaired, as those of the faulty files published since 2021 have.\n"
    )


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
    return (
        "\n**There is no test split.** The scores are those of the validation split, which chose the epoch and the "
        "thresholds: they flatter.\n"
    )


def _score_notes(results: RunResults) -> str:
    views = results.eval_symmetries
    notes = [f"The model is that of epoch {results.scored_epoch}."]
    if views > 1:
        notes.append(
            f"Scores are means over {views} turned and mirrored views of each image; one view gives a little less."
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
    return " ".join(note.strip() for note in notes) + "\n"


def _use_note(results: RunResults, thresholds: bool) -> str:
    if results.task == "scene":
        return "The outputs are logits of one class per image: take the softmax.\n"
    text = (
        "The outputs are logits, one per label: take the sigmoid, not the softmax, and compare with a threshold each. "
    )
    if thresholds:
        text += "The tuned ones are in `config.json`."
    if results.task == "labels+scene":
        text += "\nThe scene's own classifier is in `scene_head.safetensors`; `mlrsnet_hf` loads both."
    return text.rstrip() + "\n"


def _recipe_note(results: RunResults) -> str:
    recipe = f"Recipe `{results.recipe}` of" if results.recipe else "Trained with"
    seconds, run = results.run.get("seconds"), results.run
    where = f"on {run['device']}" if run.get("device") else ""
    took = f" It took {seconds / 60:,.1f} minutes {where}".rstrip() + "." if seconds else ""
    return (
        f"{recipe} `mlrsnet-hf`.{took} `settings.yaml` holds every setting and "
        "can be given back as `--config`, with the places of files filled in; `history.csv` has a line per epoch.\n"
    )


def _label_note(results: RunResults) -> str:
    absent = sum(not row["images"] for row in results.labels)
    text = f"On the {results.split} split: images with the label, average precision, F1"
    text += " and threshold, tuned on validation" if results.tuned else " at threshold 0.5"
    return text + (f". Labels that do not occur there have no score: {absent}." if absent else ".")


def _limits(results: RunResults) -> str:
    lines = [
        "- For research on scenes seen from above: searching, sorting and describing archives, and a start for other "
        "tasks. Not for decisions about people or places without somebody who looks at the image.",
        "- Images of another resolution, season, region or sensor than those it was trained on will be named worse, "
        "and nothing here measures by how much. It takes three channels, red, green and blue.",
        "- Scores are confidences, not calibrated probabilities. Labels that are rare in the table above are weak.",
    ]
    if results.is_mlrsnet:
        lines += [
            "- Protocols that draw images at random (`ratio20`, `ratio30`, `ratio40`) put near-duplicates of training "
            "images into the test split, for neighbouring images of MLRSNet overlap; scores on them flatter.",
            "- The labels describe what the annotators of MLRSNet marked in 46 scenes; they follow the scene closely, "
            "so that the model also guesses labels from the scene.",
        ]
    return "\n".join(lines) + "\n"


def _licence(licence: str, base_model: str | None, results: RunResults) -> str:
    source = f"`{base_model}`, the weights that training began with" if base_model else "the weights it began with"
    if results.model["weights"] == RANDOM:
        text = f"The weights are under {licence}."
    elif licence == UNKNOWN_LICENCE:
        text = "Training began with a file of weights whose licence this card does not know; it holds for these too."
    else:
        text = f"The weights are under {licence}, the licence of {source}."
    if results.is_mlrsnet and not results.is_synthetic:
        text += (
            " MLRSNet is the work of its authors, under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); "
            "name and cite them when you use a model trained on it."
        )
    elif not results.is_synthetic:
        text += f" {results.dataset_name} has terms of its own, which its publishers state."
    return text + "\n"
