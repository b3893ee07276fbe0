"""Measure image retrieval as the paper does (section 4), for a model or for embeddings.

    accelerate launch examples/retrieve.py --model RUN --data-dir PATH --protocol retrieval05 retrieval10 retrieval15

`python examples/retrieve.py`, or `mlrsnet retrieval`, does the same in one process; `--help` lists every setting.
"""

from transformers import HfArgumentParser

from mlrsnet_hf.reports.retrieval.report import write_retrieval
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.runtime.logs import exit_on_error


def main() -> None:
    """Parse, measure, say what is hardest to find."""
    parser = HfArgumentParser(RetrievalConfig, description="Measure image retrieval.")  # type: ignore[arg-type]
    with exit_on_error():
        config, unknown = parser.parse_args_into_dataclasses(return_remaining_strings=True, look_for_args_file=False)
        if unknown:
            parser.error(f"unknown arguments: {' '.join(unknown)}")
        result = write_retrieval(config)
    if result is not None:
        model = result.shown.model
        print(f"hardest scene: {max(model.scenes(), key=lambda scene: model.of_scene(scene, 'anmrr')[0])}")


if __name__ == "__main__":
    main()
