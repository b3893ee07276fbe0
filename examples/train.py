"""Fine-tune a timm model on MLRSNet.

    accelerate launch examples/train.py --data-dir PATH --model tf_efficientnet_lite0 --weights FILE --output-dir RUN

`python examples/train.py` does the same in one process; `--help` lists every setting.
"""

import os
from dataclasses import dataclass, field

from datasets import DatasetDict, load_dataset
from transformers import HfArgumentParser

from mlrsnet_hf.dataset import DEFAULT_PROTOCOL
from mlrsnet_hf.errors import exit_on_error
from mlrsnet_hf.training import TrainingConfig, train


@dataclass(frozen=True, kw_only=True)
class DataArguments:
    """Which images to use."""

    data_dir: str | None = field(
        default=None,
        metadata={"help": "Folder or archive of MLRSNet; by default MLRSNET_DATA_DIR, else it is downloaded."},
    )
    protocol: str = field(
        default=DEFAULT_PROTOCOL, metadata={"help": "Share of the training split: ratio20, ratio30 or ratio40."}
    )
    split_seed: int = field(default=0, metadata={"help": "Draws another split."})
    labels: str = field(
        default="verified",
        metadata={"help": "verified repairs the published faults, as-published keeps them."},
    )


def main() -> None:
    """Parse, load, train, report."""
    parser = HfArgumentParser([DataArguments, TrainingConfig], description="Fine-tune a timm model.")  # type: ignore[list-item]
    with exit_on_error():
        arguments, config, unknown = parser.parse_args_into_dataclasses(
            return_remaining_strings=True, look_for_args_file=False
        )
        if unknown:
            parser.error(f"unknown arguments: {' '.join(unknown)}")
        data = load_dataset(
            "mlrsnet",
            arguments.protocol,
            data_dir=arguments.data_dir,
            seed=arguments.split_seed,
            labels=arguments.labels,
        )
        report_repairs(data)
        train(config, data)


def report_repairs(data: DatasetDict) -> None:
    """Say how many labels are not the published ones."""
    repaired = sum(sum(split["repaired"]) for split in data.values())
    if repaired and os.environ.get("RANK", "0") == "0":
        rows = sum(data.num_rows.values())
        print(f"{repaired:,} of {rows:,} images carry repaired labels; --labels as-published keeps the published ones.")


if __name__ == "__main__":
    main()
