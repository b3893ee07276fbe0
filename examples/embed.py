"""Write the embeddings of a split as Parquet, for retrieval.

    accelerate launch examples/embed.py --model RUN --data-dir PATH --protocol retrieval10 --output-dir EMBEDDINGS

`python examples/embed.py`, or `mlrsnet embed`, does the same in one process; `--help` lists every setting.
"""

from accelerate import PartialState
from transformers import HfArgumentParser

from mlrsnet_hf.publishing.embeddings_card import embeddings_card
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig, ImageSet
from mlrsnet_hf.retrieval.embeddings.embed import embed
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.logs import exit_on_error


def main() -> None:
    """Parse, embed, look at the first image's neighbors."""
    parser = HfArgumentParser([ImageSet, EmbeddingConfig], description="Embed images.")  # type: ignore[list-item]
    with exit_on_error():
        images, config, unknown = parser.parse_args_into_dataclasses(
            return_remaining_strings=True, look_for_args_file=False
        )
        if unknown:
            parser.error(f"unknown arguments: {' '.join(unknown)}")
        folder = embed(config, images, embeddings_card)
        if PartialState().is_main_process:
            table = EmbeddingTable.load(folder)
            neighbors = table.search(table.embeddings[0], k=min(4, len(table)))[0]
            print(f"nearest to {table.ids[0]}: {', '.join(hit.id for hit in neighbors[1:])}")


if __name__ == "__main__":
    main()
