"""`mlrsnet predict` of large scenes: predict one after the other, say what came out, write the page."""

from collections.abc import Sequence

from mlrsnet_hf.errors import ImageError, require_extra
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.predict import open_classifier
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.find import scene_folders
from mlrsnet_hf.reports.predictions import unreadable_lines
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, inference_accelerator
from mlrsnet_hf.runtime.logs import print_result


def write_scene_predictions(config: PredictionConfig, settings: SceneConfig, scenes: Sequence[str]) -> None:
    """Predict scenes, write a folder for each, and the page of a single one, and print what came out.

    All processes of an `accelerate launch` call it; see `prediction.scenes.predict.predict_scene`, and there what is
    raised. Of several scenes those that cannot be read are listed at the end, unless `config.strict` is set.

    Args:
        config: The model, the output, which is the folder of a single scene or that of the folders of several, and the
            page.
        settings: How scenes are cut.
        scenes: Paths and addresses.
    """
    require_extra("geo")
    from mlrsnet_hf.prediction.scenes.predict import predict_scene
    from mlrsnet_hf.reports.scene_map import write_scene_map

    folders = scene_folders(config, scenes)
    accelerator = inference_accelerator(config.precision)
    with ended_together(accelerator):
        processes = Collectives(accelerator)
        page = config.html
        if page is not None:
            processes.run_on_main(lambda: refuse_existing(page))
        classifier = processes.run_on_all(lambda: open_classifier(config, accelerator))
        unreadable: list[tuple[str, str]] = []
        for scene, folder in zip(scenes, folders, strict=True):
            try:
                result = predict_scene(
                    scene, classifier, folder, settings, all_scores=config.all_scores, accelerator=accelerator
                )
            except ImageError as error:  # the same in all processes
                unreadable.append((scene, error.found))
                if config.strict or len(unreadable) == len(scenes):
                    raise
                continue
            print_result("\n".join(["", scene] * (len(scenes) > 1) + [result.summary()]).strip())
        if page is not None:
            processes.run_on_main(lambda: write_scene_map(folders[0], page))
            print_result(f"page: {page}")
        if unreadable:
            print_result("\n".join(["", *unreadable_lines(unreadable, f"of {len(scenes):,} scenes")]))
