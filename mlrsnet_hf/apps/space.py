"""What the app.py of a Space runs: the index is built of the Hub's embeddings, then the app is served."""

import os
import tempfile
from pathlib import Path

from mlrsnet_hf.apps.app import run_app
from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.apps.parts import open_parts
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.publishing.app_space import PICTURES
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.sources import write_sources
from mlrsnet_hf.runtime.logs import exit_on_error


def run_space(model: str | None, embeddings: str | None, folder: Path) -> None:
    """Serve the app of repositories of the Hub, until the process is stopped.

    It listens where the Space's machine has it listen: GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, elsewhere at
    127.0.0.1.

    Args:
        model: Repository of the model; None for no tab Classify.
        embeddings: Repository of the embeddings; None for no tab Search.
        folder: The Space's own, with the small pictures if there are any.
    """
    port = os.environ.get("GRADIO_SERVER_PORT")
    with exit_on_error(), tempfile.TemporaryDirectory(prefix="mlrsnet-app-") as temporary:
        index = None
        if embeddings is not None:
            index = Path(temporary) / "index"
            build_index(embeddings, index)
            if (folder / PICTURES).is_dir():
                pictures = ImageSet(dataset=str(folder / PICTURES / "*.parquet"), split="train", id_column="id")
                # As what was appended: its rows are its own, for not every image need have a picture.
                write_sources(index, None, [LocalSources(ModelChoice(), pictures)])
        config = AppConfig(
            model=model,
            index=None if index is None else str(index),
            host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
            port=int(port) if port else None,
        )
        with open_parts(config) as parts:
            run_app(parts, config)
