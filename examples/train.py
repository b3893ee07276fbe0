"""Fine-tune a timm model on a folder laid out like the MLRSNet release.

    accelerate launch examples/train.py --data-dir PATH --model tf_efficientnet_lite0 --weights FILE --output-dir RUN

`python examples/train.py` does the same in one process; `--help` lists every setting.
"""

from dataclasses import dataclass, field

from transformers import HfArgumentParser

from mlrsnet_hf.dataset import DEFAULT_PROTOCOL, load_release
from mlrsnet_hf.errors import exit_on_error
from mlrsnet_hf.training import TrainingConfig, train


@dataclass(frozen=True, kw_only=True)
class DataArguments:
    """Which images to use."""

    data_dir: str = field(metadata={"help": "The folder that holds Images and Labels."})
    protocol: str = field(
        default=DEFAULT_PROTOCOL, metadata={"help": "Share of the training split: ratio20, ratio30 or ratio40."}
    )
    split_seed: int = field(default=0, metadata={"help": "Draws another split."})


def main() -> None:
    """Parse, load, train, report."""
    parser = HfArgumentParser([DataArguments, TrainingConfig], description="Fine-tune a timm model.")  # type: ignore[list-item]
    with exit_on_error():
        arguments, config, unknown = parser.parse_args_into_dataclasses(
            return_remaining_strings=True, look_for_args_file=False
        )
        if unknown:
            parser.error(f"unknown arguments: {' '.join(unknown)}")
        data = load_release(arguments.data_dir, arguments.protocol, arguments.split_seed)
        train(config, data)


if __name__ == "__main__":
    main()
