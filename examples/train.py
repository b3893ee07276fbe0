"""Fine-tune a timm network: the lines behind `mlrsnet train`, to be changed.

    accelerate launch examples/train.py --data-dir PATH --model tf_efficientnet_lite0 --output-dir runs/first
    python examples/train.py --config examples/configs/debug_cpu.yaml

`--help` lists every setting.
"""

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.runtime.logs import exit_on_error, is_main_process, print_result

with exit_on_error("train"):  # in one sentence, also while what it brings is imported
    require_extra("train")

    from mlrsnet_hf.cli import Train
    from mlrsnet_hf.configuration.command_line import parse
    from mlrsnet_hf.inputs.load import load_data
    from mlrsnet_hf.runtime.signals import Interruption
    from mlrsnet_hf.training.run import check_start
    from mlrsnet_hf.training.train import train


def main() -> None:
    """Parse, check, load, train, publish."""
    with exit_on_error("train"):
        settings = parse(Train)
        target = settings.publish.push_to_hub if is_main_process() else None
        if target is not None:
            from mlrsnet_hf.publishing.hub import check_can_publish

            check_can_publish(target, settings.publish.dataset_id)
        check_start(settings.training)
        with Interruption():  # a cluster may ask to stop before training listens
            data = load_data(settings.data)
        train(settings.training, data, recipe=settings.choice.recipe, data_config=settings.data)
        if target is not None:
            from mlrsnet_hf.publishing.publish import publish_run

            print_result(publish_run(settings.training.output_dir, target, **settings.publish.options()).summary())


if __name__ == "__main__":
    main()
