"""Commands that embed images, find them, and measure how well they are found."""

from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.configuration.settings import Count, Settings, Share, leaves, setting
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.index import COLLECTION, Effort, Kind
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write the embeddings of images as Parquet.

    Passes images through a network and writes the output of one of its last layers as Parquet, with ids, scenes and
    labels. A run that was cut short is completed by the next.

    Examples:
        mlrsnet embed --model runs/train --data-dir path/to/mlrsnet --output-dir embeddings
        accelerate launch -m mlrsnet_hf embed --model resnet50 --images path/to/images
    """

    images: ImageSet
    config: EmbeddingConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.retrieval.embeddings.origin import refuse_others

        config, target = self.config, self.config.output_dir.expanduser().absolute()
        check_paths(
            models=[config.model],
            weights=config.weights,
            data=self.images,
            targets=[lambda: refuse_others(target, config)],
        )
        from mlrsnet_hf.publishing.embeddings_card import embeddings_card
        from mlrsnet_hf.retrieval.embeddings.embed import embed

        embed(config, self.images, embeddings_card)


@dataclass(frozen=True, kw_only=True)
class Index(Settings):
    """Build an index of embeddings that stays.

    Builds it on Milvus, in a local folder (Milvus Lite, no server) or on a server, and measures how much of the exact
    result it finds. A build, or an append, that was cut short is completed by the next.

    Examples:
        mlrsnet index embeddings http://localhost:19530 --collection scenes
        mlrsnet index new-embeddings my-index --append --recall 0.99
    """

    embeddings: str = setting(
        text="Folder that `mlrsnet embed` wrote, or the id of such a dataset on the Hub.", positional=True
    )
    index: str = setting(text="Folder to create, or the URI of a Milvus server.", positional=True)
    kind: Kind = setting("hnsw", "A graph, or a look at every image.")
    collection: str = setting(COLLECTION, "Collection on a server.")
    append: bool = setting(False, "Add the images to the index that is there; those of a known id take its place.")
    recall: Share | None = setting(
        None,
        "Share of the exact result to find, for which a search effort is found and stored; if unset it is measured.",
    )

    def run(self) -> None:
        require_extra("search")
        if self.append:
            from mlrsnet_hf.retrieval.index.append import append_to_index

            print_result(append_to_index(self.embeddings, self.index, self.collection, self.recall).summary())
            return
        from mlrsnet_hf.retrieval.index.build import build_index

        print_result(build_index(self.embeddings, self.index, self.kind, self.collection, self.recall).summary())


@dataclass(frozen=True, kw_only=True)
class Search(Settings):
    """Find images like one, or by words.

    Finds the images of an index that are nearest to a picture, or to an image of the index by its id, or to each of
    several, or of a folder, or to words where its network knows them; without any, lists those that have the labels
    and the scene.

    Examples:
        mlrsnet search my-index query.jpg -k 12 --labels water,ships --html found.html
        mlrsnet search my-index --text "harbor with ships"
        mlrsnet search my-index pictures --labels "Beaches, dunes, sands" --labels water
    """

    index: str = setting(text="Folder that `mlrsnet index` wrote, or the URI of a Milvus server.", positional=True)
    query: tuple[str, ...] = setting(
        (), "Pictures, folders of pictures, or ids of images of the index; if unset the filter counts.", positional=True
    )
    text: tuple[str, ...] = setting(
        (),
        "What images shall show, in words, of an index by open_clip; the option may be repeated.",
        metavar="WORDS",
        repeated=True,
    )
    top_k: Count = setting(12, "Images to find.", short="-k")
    labels: tuple[str, ...] = setting(
        (),
        "Labels that all must be there, with commas between or the option repeated; names may hold commas.",
        metavar="NAME,NAME",
        repeated=True,
    )
    scene: str | None = setting(None, "Scene that must be shown; any if unset.", metavar="NAME")
    html: Path | None = setting(None, "Page of pictures to write; none if unset.", metavar="FILE")
    collection: str = setting(COLLECTION, "Collection on a server.")
    ef: Effort | None = setting(
        None, "Candidates to look at in a graph, more find more and take longer; what the index knows if unset."
    )
    model: str | None = setting(
        None,
        "Place where the network is now, as `mlrsnet embed` takes it; the index's own if unset.",
        section="Network",
    )
    weights: str | None = setting(None, "Weights for a timm name; those of the index if unset.")
    image_size: Count | None = setting(None, "Side in pixels of the input; that of the index if unset.")
    crop_pct: Share | None = setting(None, "Share of the image that the network sees; that of the index if unset.")
    bands: str | None = setting(None, "Bands of the picture's file that the network sees; those of the index if unset.")
    value_range: str | None = setting(None, "Values that become black and white; those of the index if unset.")

    def run(self) -> None:
        require_extra("search")
        from mlrsnet_hf.reports.search import print_search

        print_search(
            self.index,
            self.query,
            texts=self.text,
            page=self.html,
            collection=self.collection,
            k=self.top_k,
            labels=self.labels,
            scene=self.scene,
            ef=self.ef,
            model={name: getattr(self, name) for name in leaves(ModelChoice)},
        )


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Measure image retrieval as the paper does.

    Measures how well a model's embeddings retrieve images (paper, section 4): Tables 8 and 9, Figs. 10 to 14 and
    measures on labels, written as JSON, CSV, Markdown, PNG and one HTML page.

    Examples:
        mlrsnet retrieval --model runs/train --data-dir path/to/mlrsnet --protocol retrieval05 retrieval10
        accelerate launch -m mlrsnet_hf retrieval --embeddings embeddings --data-dir path/to/mlrsnet
    """

    config: RetrievalConfig

    def run(self) -> None:
        require_extra("train")
        from mlrsnet_hf.reports.retrieval.earlier import earlier_results

        config = self.config
        check_paths(
            models=[*config.model, *config.compare],
            embeddings=[*config.embeddings, config.query_embeddings, config.database_embeddings],
            weights=config.weights,
            data=ImageSet(dataset=config.dataset, data_dir=config.data_dir),
            targets=[lambda: earlier_results(config)],
        )
        from mlrsnet_hf.reports.retrieval.report import write_retrieval

        write_retrieval(config)
