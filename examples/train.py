"""Fine-tune a timm model on MLRSNet, or on any set of images with lists of labels.

    accelerate launch examples/train.py --data-dir PATH --model tf_efficientnet_lite0 --weights FILE --output-dir RUN
    accelerate launch examples/train.py --recipe paper --network ResNet50 --data-dir PATH
    python examples/train.py --config examples/configs/debug_cpu.yaml

`python examples/train.py` does the same in one process; `--help` lists every setting. They come from the recipe, over
it from the YAML file that `--config` names, over that from the command line.
"""

from accelerate import PartialState

from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.settings import parse_settings
from mlrsnet_hf.training.trainer import train


def main() -> None:
    """Parse, load, train, publish."""
    with exit_on_error():
        settings = parse_settings(description="Fine-tune a timm model on images with lists of labels.")
        target = settings.publish.push_to_hub
        if target is not None and PartialState().is_main_process:
            from mlrsnet_hf.publishing.hub import check_can_publish

            check_can_publish(target, settings.publish.dataset_id)

        with Interruption():  # a cluster may ask to stop before training listens
            data = load_data(settings.data)
        train(settings.training, data, recipe=settings.recipe, data_config=settings.data)

        if target is not None and PartialState().is_main_process:
            from mlrsnet_hf.publishing.publish import publish_run

            print(publish_run(settings.training.output_dir, target, **settings.publish.options()).summary())


if __name__ == "__main__":
    main()
