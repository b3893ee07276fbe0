import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import DatasetDict, Image
from sklearn.metrics import average_precision_score, f1_score

from mlrsnet_hf.training import TrainingResult, load_model
from mlrsnet_hf.training.evaluators import Predictions, evaluate, evaluation_loader, label_precisions, predict
from mlrsnet_hf.training.inputs import SplitImages
from mlrsnet_hf.training.preprocessing import decode_image, normalise
from mlrsnet_hf.training.run_folder import RunFolder
from mlrsnet_hf.training.task import Task


def saved_predictions(run: TrainingResult, data: DatasetDict, batch_size: int) -> Predictions:
    saved = load_model(RunFolder(run.config.output_dir).model)
    images = SplitImages(
        data["test"],
        Task(kind="labels", label_names=tuple(saved.label_names)),
        saved.preprocessing.evaluation_transform(),
    )
    accelerator = Accelerator()
    loader = evaluation_loader(images, batch_size, 0, accelerator)
    return predict(saved.model, loader, saved.preprocessing, accelerator)


@pytest.mark.parametrize("batch_size", [1, 4, 13, 100])
def test_rows_stand_in_the_splits_order(run: TrainingResult, data: DatasetDict, batch_size: int) -> None:
    predictions = saved_predictions(run, data, batch_size)
    saved = load_model(RunFolder(run.config.output_dir).model)
    transform = saved.preprocessing.evaluation_transform()
    split = data["test"].cast_column("image", Image(decode=False))
    for row, example in enumerate(split):
        pixels = normalise(torch.from_numpy(transform(decode_image(example["image"], "x")))[None], saved.preprocessing)
        np.testing.assert_allclose(predictions.logits[row], saved.model(pixels)[0].detach(), atol=1e-5)
        assert np.flatnonzero(predictions.targets[row]).tolist() == example["labels"]


def test_the_reported_figures_are_scikit_learns(run: TrainingResult, data: DatasetDict) -> None:
    predictions = saved_predictions(run, data, batch_size=5)
    targets, scores = predictions.targets.astype(int), predictions.scores
    occurring = targets.any(axis=0)
    assert run.test["map"] == pytest.approx(
        average_precision_score(targets[:, occurring], scores[:, occurring], average="macro"), abs=1e-6
    )
    assert run.test["sample_f1"] == pytest.approx(
        f1_score(targets, scores > 0.5, average="samples", zero_division=0), abs=1e-6
    )
    assert run.labels_left_out == (~occurring).sum() == 1
    assert run.test_average_precision["never"] is None
    assert run.test_average_precision["red"] == pytest.approx(average_precision_score(targets[:, 0], scores[:, 0]))


def test_metrics_and_labels_by_name() -> None:
    # Label a is ranked perfectly, b has its positive at rank 2, c does not occur.
    predictions = Predictions(
        targets=np.array([[1, 0, 0], [0, 1, 0]], np.float32), logits=np.array([[4, 2, -9], [-4, 1, -9]], np.float32)
    )
    assert label_precisions(predictions, "abc") == {"a": 1.0, "b": 0.5, "c": None}
    # F1 of the first image: predicted a and b, true a: 2/3; of the second: 1.
    # Mean precision (1/2 + 1) / 2, mean recall 1: F1 of means 2 * 3/4 / (7/4) = 6/7.
    # In all 2 hits of 3 predicted and 2 true: 4/5. By label: a 1, b 2/3; c does not occur and is left out.
    assert dict(evaluate(predictions)) == pytest.approx(
        {"sample_f1": 5 / 6, "f1_of_means": 6 / 7, "map": 0.75, "micro_f1": 4 / 5, "macro_f1": 5 / 6}
    )


def test_scores_are_sigmoids_even_far_out() -> None:
    predictions = Predictions(targets=np.zeros((1, 3)), logits=np.array([[-200.0, 0.0, 200.0]], np.float32))
    assert predictions.scores[0].tolist() == pytest.approx([0.0, 0.5, 1.0])
