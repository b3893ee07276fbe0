import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlrsnet_hf.evaluation.scores import Predictions
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.losses import asymmetric_loss, loss_of_split, make_loss

TASKS = {
    kind: Task(kind=kind, label_names=("a", "b", "c"), scene_names=("s", "t"))
    for kind in ("labels", "labels+scene", "scene")
}


def truth_of(targets: torch.Tensor, scenes: torch.Tensor | None = None) -> Batch:
    """Return a batch without pictures."""
    return Batch(torch.arange(len(targets)), torch.empty(0, dtype=torch.uint8), targets, scenes)


def draw(task: Task, images: int = 12) -> tuple[torch.Tensor, Batch]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(images, task.outputs, generator=generator)
    targets = (torch.rand(images, task.label_outputs, generator=generator) < 0.4).float()
    return logits, truth_of(targets, torch.randint(2, (images,), generator=generator))


def asymmetric_by_hand(logit: float, target: float, gamma_neg: float, gamma_pos: float, clip: float) -> float:
    """Return the paper's formula in double precision, one number at a time."""
    p = 1 / (1 + math.exp(-logit))
    shifted = max(p - clip, 0.0)
    positive, negative = (1 - p) ** gamma_pos * math.log(p), shifted**gamma_neg * math.log(1 - shifted)
    return -target * positive - (1 - target) * negative


def test_binary_cross_entropy_by_hand() -> None:
    # p = 1/2 costs ln 2 whatever the label; p = 3/4 (logit ln 3) costs ln 4/3 if right and ln 4 if wrong.
    logits = torch.tensor([[0.0, math.log(3.0), math.log(3.0)]])
    truth = truth_of(torch.tensor([[1.0, 1.0, 0.0]]))
    expected = (math.log(2) + math.log(4 / 3) + math.log(4)) / 3
    assert make_loss(TrainingConfig(), TASKS["labels"])(logits, truth).item() == pytest.approx(expected)


def test_smoothing_moves_targets_towards_one_half() -> None:
    # A fifth of the way: the targets are 0.9 and 0.1, so the first costs 0.9 ln 4/3 + 0.1 ln 4.
    loss = make_loss(TrainingConfig(label_smoothing=0.2), TASKS["labels"])
    logits = torch.full((1, 3), math.log(3.0))
    right, wrong = math.log(4 / 3), math.log(4)
    expected = (2 * (0.9 * right + 0.1 * wrong) + (0.1 * right + 0.9 * wrong)) / 3
    assert loss(logits, truth_of(torch.tensor([[1.0, 1.0, 0.0]]))).item() == pytest.approx(expected)


@given(
    logit=st.floats(-12, 12),
    target=st.sampled_from([0.0, 0.1, 1.0]),
    gamma_neg=st.sampled_from([0.0, 2.0, 4.0]),
    gamma_pos=st.sampled_from([0.0, 1.0]),
    clip=st.sampled_from([0.0, 0.05, 0.2]),
)
def test_asymmetric_loss_is_the_papers(
    logit: float, target: float, gamma_neg: float, gamma_pos: float, clip: float
) -> None:
    settings = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip}
    found = asymmetric_loss(torch.tensor([[logit]]), torch.tensor([[target]]), **settings).item()
    assert found == pytest.approx(asymmetric_by_hand(logit, target, **settings), rel=1e-4, abs=1e-6)


def test_asymmetric_loss_without_its_extras_is_cross_entropy() -> None:
    logits, truth = draw(TASKS["labels"])
    found = asymmetric_loss(logits, truth.targets, gamma_neg=0, gamma_pos=0, clip=0)
    torch.testing.assert_close(found, nn.BCEWithLogitsLoss()(logits, truth.targets))


def test_asymmetric_gradient_is_that_of_the_formula() -> None:
    # Away from p = clip, where the formula has a corner.
    logits = torch.tensor([[-1.0, 0.5, 2.0, 0.3]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[0.0, 0.0, 1.0, 0.1]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: asymmetric_loss(values, targets, gamma_pos=1.0), logits)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_extreme_logits_stay_finite_and_keep_their_gradient(clip: float) -> None:
    logits = torch.tensor([[-1e4, 1e4, -40.0, 40.0]], requires_grad=True)
    asymmetric_loss(logits, torch.tensor([[1.0, 0.0, 1.0, 0.0]]), clip=clip).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # A missed positive is pulled up with full force, -1 over 4 labels, however sure the model is.
    assert logits.grad[0, [0, 2]].tolist() == [-0.25, -0.25]


def test_negatives_below_the_margin_do_not_count() -> None:
    logits = torch.tensor([[-4.0, 0.0]], requires_grad=True)  # p = 0.018 and 0.5
    asymmetric_loss(logits, torch.zeros(1, 2), clip=0.05).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0 < logits.grad[0, 1]


def test_both_tasks_add_up() -> None:
    task = TASKS["labels+scene"]
    logits, truth = draw(task)
    loss = make_loss(TrainingConfig(scene_head=True, scene_weight=0.3, label_smoothing=0.1), task)
    expected = nn.BCEWithLogitsLoss()(logits[:, :3], truth.targets * 0.9 + 0.05)
    expected += 0.3 * nn.CrossEntropyLoss(label_smoothing=0.1)(logits[:, 3:], truth.scenes)
    torch.testing.assert_close(loss(logits, truth), expected)


def test_a_scene_alone_by_hand() -> None:
    # Odds of 3 to 1: right costs ln 4/3, wrong ln 4; the scene's weight plays no part.
    loss = make_loss(TrainingConfig(single_label=True, scene_weight=0.3), TASKS["scene"])
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
    truth = truth_of(torch.zeros(2, 0), torch.tensor([0, 1]))
    assert loss(logits, truth).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("name", ["bce", "asymmetric"])
def test_equal_parts_average_to_the_whole(task: Task, name: str) -> None:
    loss = make_loss(TrainingConfig(loss=name), task)
    logits, truth = draw(task)
    assert truth.scenes is not None
    parts = [
        loss(logits[rows], truth_of(truth.targets[rows], truth.scenes[rows])).item()
        for rows in (slice(0, 4), slice(4, 8), slice(8, 12))
    ]
    assert np.mean(parts) == pytest.approx(loss(logits, truth).item(), rel=1e-6)


def test_labels_that_are_not_known_by_hand() -> None:
    # Three of four targets of the split are known; those of the batch cost ln 2 and ln 4/3, over 4 and over 3/4.
    loss = make_loss(TrainingConfig(), Task(kind="labels", label_names=("a", "b")), known_share=0.75)
    logits = torch.tensor([[0.0, 9.0], [math.log(3.0), 7.0]], requires_grad=True)
    found = loss(logits, truth_of(torch.tensor([[1.0, math.nan], [1.0, math.nan]])))
    assert found.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 4 / 0.75)
    found.backward()
    assert logits.grad is not None
    # The slope of -log p is p - 1: -1/2 and -1/4.
    assert logits.grad.tolist() == [[pytest.approx(-1 / 2 / 3), 0.0], [pytest.approx(-1 / 4 / 3), 0.0]]


@pytest.mark.parametrize("name", ["bce", "asymmetric"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_that_are_not_known_count_nothing(name: str, smoothing: float) -> None:
    """Where all of a label is known, or nothing, the loss is that of the known labels alone."""
    logits, truth = draw(TASKS["labels"])
    config = TrainingConfig(loss=name, label_smoothing=smoothing)
    targets = truth.targets.clone()
    targets[:, 1] = math.nan
    found = make_loss(config, TASKS["labels"], known_share=2 / 3)(logits, truth_of(targets))
    known = Task(kind="labels", label_names=("a", "c"))
    expected = make_loss(config, known)(logits[:, [0, 2]], truth_of(truth.targets[:, [0, 2]]))
    torch.testing.assert_close(found, expected)
    # Parts average to the whole, also those of which more is known than of others.
    targets[:4] = math.nan
    loss = make_loss(config, TASKS["labels"], known_share=4 / 9)
    parts = [loss(logits[rows], truth_of(targets[rows])).item() for rows in (slice(0, 6), slice(6, 12))]
    assert np.mean(parts) == pytest.approx(loss(logits, truth_of(targets)).item(), rel=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("name", ["bce", "asymmetric"])
def test_the_loss_of_bfloat16_logits_is_computed_in_float32(task: Task, name: str) -> None:
    loss = make_loss(TrainingConfig(loss=name), task)
    logits, truth = draw(task)
    rounded = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(rounded, truth)
    assert found.dtype == torch.float32
    assert found == loss(rounded.float(), truth)


def as_predictions(task: Task, logits: torch.Tensor, truth: Batch) -> Predictions:
    labels, scenes = logits.split((task.label_outputs, task.scene_outputs), dim=1)
    return Predictions(
        targets=truth.targets.numpy(),
        logits=labels.numpy(),
        scenes=truth.scenes.numpy() if task.scene_outputs else None,
        scene_logits=scenes.numpy() if task.scene_outputs else None,
    )


@pytest.mark.parametrize("name", ["bce", "asymmetric"])
@pytest.mark.parametrize("kind", TASKS)
def test_the_loss_of_a_split_is_that_of_its_images_in_one_batch(kind: str, name: str) -> None:
    task = TASKS[kind]
    logits, truth = draw(task)
    loss = make_loss(TrainingConfig(loss=name, scene_weight=0.5, label_smoothing=0.1), task)
    assert loss_of_split(loss, as_predictions(task, logits, truth)) == pytest.approx(loss(logits, truth).item())


def test_the_loss_of_a_split_is_a_mean_over_the_labels_known_there() -> None:
    # Known are the first label, right at p = 3/4, and the third, wrong; half of the training's targets are.
    loss = make_loss(TrainingConfig(), TASKS["labels"], known_share=0.5)
    logits = torch.full((1, 3), math.log(3.0))
    truth = truth_of(torch.tensor([[1.0, math.nan, 0.0]]))
    found = loss_of_split(loss, as_predictions(TASKS["labels"], logits, truth))
    assert found == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    nothing = truth_of(torch.full((1, 3), math.nan))
    assert loss_of_split(loss, as_predictions(TASKS["labels"], logits, nothing)) is None
