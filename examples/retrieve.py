"""Measure image retrieval as the paper does (section 4), and say which scene is hardest to find.

    accelerate launch examples/retrieve.py --model RUN --data-dir PATH --protocol retrieval05 retrieval10 retrieval15

`--help` lists every setting; they are those of `mlrsnet retrieval`.
"""

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.runtime.logs import exit_on_error

with exit_on_error():  # in one sentence, also while what it brings is imported
    require_extra("train")

    from mlrsnet_hf.cli import Retrieval
    from mlrsnet_hf.configuration.command_line import parse
    from mlrsnet_hf.reports.retrieval.report import write_retrieval


def main() -> None:
    """Parse, measure, look."""
    with exit_on_error():
        result = write_retrieval(parse(Retrieval).config)
    if result is not None:
        model = result.shown.model
        print(f"hardest scene: {max(model.scenes(), key=lambda scene: model.of_scene(scene, 'anmrr')[0])}")


if __name__ == "__main__":
    main()
