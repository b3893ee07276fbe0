"""Write the embeddings of a split as Parquet, and look at the neighbors of the first image.

    accelerate launch examples/embed.py --model RUN --data-dir PATH --protocol retrieval10 --output-dir EMBEDDINGS

`--help` lists every setting; they are those of `mlrsnet embed`.
"""

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.runtime.logs import exit_on_error

with exit_on_error():  # in one sentence, also while what it brings is imported
    require_extra("train")

    from accelerate import PartialState

    from mlrsnet_hf.cli import Embed
    from mlrsnet_hf.configuration.command_line import parse
    from mlrsnet_hf.publishing.embeddings_card import embeddings_card
    from mlrsnet_hf.retrieval.embeddings.embed import embed
    from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable


def main() -> None:
    """Parse, embed, look."""
    with exit_on_error():
        settings = parse(Embed)
        folder = embed(settings.config, settings.images, embeddings_card)
        if PartialState().is_main_process:
            table = EmbeddingTable.load(folder)
            neighbors = table.search(table.embeddings[0], k=min(4, len(table)))[0]
            print(f"nearest to {table.ids[0]}: {', '.join(hit.id for hit in neighbors[1:])}")


if __name__ == "__main__":
    main()
