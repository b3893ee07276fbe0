"""A trained model as an ONNX file, which other programs run, and which is the network to 1e-4 or is not kept."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.files import refuse_existing, whole_folder
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.inputs.pixels.pictures import picture_pixels
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import NamedModel, load_named_model
from mlrsnet_hf.models.onnx import (
    INPUT,
    ONNX_FILE,
    OUTPUT,
    PREPROCESSING_FILE,
    OnnxNetwork,
    onnx_metadata,
    preprocessing_json,
)
from mlrsnet_hf.models.preprocessing import normalize_pixels
from mlrsnet_hf.models.weights import first_line
from mlrsnet_hf.prediction.classifier import require_task
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.synthetic import synthetic_record
from mlrsnet_hf.taxonomy import SCENES
from mlrsnet_hf.training.learned_images import facts_for_export

TOLERANCE = 1e-4
"""What a logit may differ, and this share of its size where it is above 1."""
_CHECKED = 8
"""Images that the file is checked on."""
_BATCHES = (1, 3)
"""Images at once, in turn, so that a file of a fixed batch is found out."""
_MOST_BYTES = 2**31 - 2**24
"""What one ONNX file may hold beside its graph: its format counts bytes in 31 bits."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A folder with an ONNX file that is the network."""

    folder: Path
    task: Task
    difference: float
    """Largest difference of a logit from the network's."""
    images: int
    """Number of images that it was seen on."""

    def summary(self) -> str:
        """Return what was made, for the terminal."""
        parts = [f"{self.task.label_outputs:,} labels"] * bool(self.task.label_outputs)
        parts += [f"{self.task.scene_outputs:,} scenes"] * bool(self.task.scene_outputs)
        return (
            f"{' and '.join(parts)}; logits are the network's to {self.difference:.1g} on {self.images} images\n"
            f"model: {self.folder / ONNX_FILE}"
        )


def export_model(choice: ModelChoice, folder: Path, images: str | None = None) -> ExportedModel:
    """Write a trained model as `model.onnx`, and its preprocessing beside it, into a new folder.

    The file takes any number of images at once, as float32 that the preprocessing has made; docs/export.md tells how.
    It is compared with the network before the folder takes its name.

    Args:
        choice: The model.
        folder: What is created.
        images: Folder of images on which the file is compared, eight of them; scenes are drawn if it is None.

    Raises:
        ConfigurationError: The model names no labels, cannot be exported or exports to other logits, or the folder
            exists or cannot be written.
        WeightsError: The model cannot be had.
        ImageError: An image cannot be read.
        MissingExtraError: The packages of the extra `onnx` are not installed.
    """
    require_extra("onnx")
    refuse_existing(folder.expanduser())
    model = load_named_model(choice)
    task = require_task(model)
    if isinstance(model.model, OnnxNetwork):
        raise ConfigurationError(f"{choice.model} is an ONNX file already", "Give the model that it was made of.")
    pixels = _pixels(model, images)
    run = facts_for_export(choice.model)
    metadata = onnx_metadata(model.name, model.architecture, model.preprocessing, task, model.thresholds, run)
    with whole_folder(folder) as partial:
        _write(model, metadata, partial / ONNX_FILE)
        difference = _compare(model, partial / ONNX_FILE, pixels)
        content = json.dumps(preprocessing_json(model.preprocessing), indent=2)
        (partial / PREPROCESSING_FILE).write_text(content + "\n", encoding="utf-8")
    return ExportedModel(folder, task, difference, len(pixels))


def _pixels(model: NamedModel, folder: str | None) -> npt.NDArray[np.uint8]:
    """Return (N, S, S, C) pixels of images of a folder, else of drawn scenes, or of noise for other channels."""
    transform, reading = model.preprocessing.evaluation_transform(), model.preprocessing.reading
    if folder is not None:
        rows = load_images(ImageSet(images=folder)).rows
        chosen = rows.select(np.linspace(0, len(rows) - 1, min(_CHECKED, len(rows)), dtype=int))
        files = chosen.cast_column("image", datasets.Image(decode=False))
        decoded = [picture_pixels(row["image"], row["id"], reading) for row in files]
    elif reading.is_usual:
        scenes = SCENES[:: len(SCENES) // _CHECKED][:_CHECKED]
        records = [synthetic_record(scene, index, seed=0) for index, scene in enumerate(scenes, start=1)]
        decoded = [picture_pixels(record.image or b"", record.id) for record in records]
    else:
        draw, side = np.random.default_rng(0), model.preprocessing.image_size
        shape = (_CHECKED, side, side, reading.channels)
        decoded = list(draw.integers(0, 256, shape, dtype=np.uint8))
    return np.stack([transform(one) for one in decoded])


def _write(model: NamedModel, metadata: dict[str, str], file: Path) -> None:
    """Write the network as an ONNX file of one piece, with its metadata."""
    import onnx

    size = sum(tensor.nbytes for tensor in model.model.state_dict().values())
    if size > _MOST_BYTES:
        raise ConfigurationError(
            f"{model.name} has weights of {size / 2**30:.1f} GiB, and an ONNX file holds 2",
            "Export a smaller network.",
        )
    logger.info("exporting %s, which may take minutes", model.architecture)
    channels, side = model.preprocessing.channels, model.preprocessing.image_size
    try:
        with warnings.catch_warnings(action="ignore"):  # of the exporter's own affairs
            program = torch.onnx.export(
                model.model.eval(),
                (torch.zeros(2, channels, side, side),),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("images")},),
                verbose=False,
            )
    except Exception as error:  # of whatever type the network's code and the exporter raise
        raise ConfigurationError(
            f"{model.architecture} cannot be exported ({shortened(first_line(error), 200)})",
            "Export another network.",
        ) from error
    assert program is not None, "no file was named"
    content = program.model_proto
    onnx.helper.set_model_props(content, metadata)
    onnx.save_model(content, file)


def _compare(model: NamedModel, file: Path, pixels: npt.NDArray[np.uint8]) -> float:
    """Return the largest difference of a logit, by any number of images at once.

    Raises:
        ConfigurationError: It is more than `TOLERANCE`.
    """
    exported: nn.Module = OnnxNetwork(file.read_bytes(), file.name)
    differences = []
    for size in _BATCHES:
        for batch in torch.from_numpy(pixels).split(size):
            values = normalize_pixels(batch, model.preprocessing)
            with torch.inference_mode():
                expected, found = model.model(values).float(), exported(values)
            differences.append((expected - found).abs().amax())
            if not torch.allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE):
                raise ConfigurationError(
                    f"{model.architecture} exports to other logits than its own (they differ by "
                    f"{float(differences[-1]):.2g})",
                    "Nothing was kept; export another network.",
                )
    return float(max(differences))
