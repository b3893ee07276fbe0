"""What the app shows, and where, as settings; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mlrsnet_hf.configuration.settings import Range, Settings, setting
from mlrsnet_hf.retrieval.index import COLLECTION

Port = Annotated[int, Range(1, 65535)]


@dataclass(frozen=True, kw_only=True)
class AppConfig(Settings):
    """The parts of the app, each of which has a tab."""

    model: str | None = setting(
        None,
        "Model whose labels Classify tells: a run, a saved model, or a repository of the Hub; no such tab if unset.",
        section="App",
    )
    index: str | None = setting(
        None,
        "Index that Search asks: a folder that `mlrsnet index` wrote, or the URI of a Milvus server; no such tab "
        "if unset.",
    )
    collection: str = setting(COLLECTION, "Collection on a server.")
    evaluation: Path | None = setting(
        None, "Folder of `mlrsnet evaluate`, or its predictions.parquet, whose errors Explore shows; none if unset."
    )
    host: str = setting("127.0.0.1", "Address to listen at; this one is reached from this machine alone.")
    port: Port | None = setting(None, "Port to listen at; if unset the first free one from 7860 on.")
    share: bool = setting(False, "Make a public address that leads here, by Gradio's servers.")
    upload_megabytes: Annotated[int, Range(1)] = setting(200, "Size of an uploaded file, at most.", former="max_upload")
    demo_dir: Path = setting(
        Path("mlrsnet-demo"), "Folder of the demo, which is shown if no part is given; it is made if it is not there."
    )
