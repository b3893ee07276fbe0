"""The training run, from top to bottom: resume, learning rate, model, data, optimizer, loop, evaluate, save.

From `train` to the optimizer it is four calls: `train`, `Trainer.train_epochs`, `Trainer.train_epoch`,
`Trainer.train_step`.
"""

import secrets
from contextlib import ExitStack

from accelerate.utils import set_seed

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, make_accelerator
from mlrsnet_hf.runtime.logs import get_logger, print_result
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoints import RunRecord
from mlrsnet_hf.training.config import AUTO, TrainingConfig
from mlrsnet_hf.training.monitor import require_trackers
from mlrsnet_hf.training.rate_trials import choose_rate
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.run_folder import RunFolder, find_run
from mlrsnet_hf.training.trainer import Trainer

logger = get_logger(__name__)


def train(
    config: TrainingConfig, data: ImageData, recipe: str | None = None, data_config: DataConfig | None = None
) -> TrainingResult:
    """Fine-tune a model, keep the best epoch by validation, and measure it once on the test split.

    The run folder then holds `model/`, `results.json`, `settings.yaml`, `history.json` and `.csv`, `curves.png`, the
    last checkpoints, with the model of the best epoch among them, and the trackers' files. With `config.resume` a run
    goes on from its newest checkpoint, and ends with the files of a run that was never stopped, on the CPU to the last
    bit. On several machines the folder must be one that all of them see.

    Args:
        config: The settings.
        data: The splits.
        recipe: Name of the recipe that the settings began with, for the results.
        data_config: Where the data came from, for settings.yaml; None if from elsewhere than `load_data`.

    Returns:
        What results.json holds.

    Raises:
        MLRSNetError: A setting, the weights, an image or the output folder cannot be used.
        InterruptedRunError: SIGTERM, SIGINT or SIGUSR1 came; `exit_on_error` ends the program with code 75.
    """
    require_trackers(config.trackers)
    folder = RunFolder(config.output_dir)
    accelerator = make_accelerator(
        config.precision, config.trackers, folder.logs, config.accumulation, config.cpu_threads, config.seed
    )
    collectives = Collectives(accelerator)
    with ExitStack() as stack:
        stack.enter_context(ended_together(accelerator))
        interruption = stack.enter_context(Interruption())

        # ------------------------------------------------------------------------------------------- resume, or begin
        collectives.run_on_main(folder.check_place)
        collectives.run_on_main(lambda: stack.enter_context(folder.lock()))
        run = RunRecord(
            settings=config.to_dict(),
            data=data.source,
            processes=accelerator.num_processes,
            precision=accelerator.mixed_precision,
            device=accelerator.device.type,
            run_id=secrets.token_hex(4),
        )
        found = collectives.run_on_main(lambda: find_run(folder, run))
        if isinstance(found, TrainingResult):
            logger.info("the run in %s has ended already; these are its results", folder.root)
            print_result(f"{found.report()}\n{folder.parts_text()}")
            return found

        # ------------------------------------------------------------------------ learning rate, if it is to be chosen
        trials = None
        if config.learning_rate == AUTO:
            trials = choose_rate(config, data, recipe, run, found is not None, collectives, interruption)
            set_seed(config.seed)  # so that the run is that of the chosen number

        # ----------------------------------------------------------------------------------- model, data, optimizer
        trainer = Trainer(config, data, run, accelerator, collectives, interruption, trials)
        stack.callback(trainer.loaders.close)
        trainer.tell()
        interruption.defer()  # from here on there is something to save
        trainer.begin(found, data_config, recipe)
        stack.callback(trainer.monitor.bar.close)

        # ------------------------------------------------------------------------ loop: load, step, watch, save
        trainer.train_epochs()

        # ------------------------------------------------------------------------------------------- evaluate, save
        return trainer.finish(recipe)
