"""The command that opens the app in the browser."""

import dataclasses
from dataclasses import dataclass

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.commands.early_checks import check_paths
from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.models import HUB
from mlrsnet_hf.publishing.config import SpaceConfig
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, kw_only=True)
class App:
    """Classify, search and explore images in the browser.

    Serves a page with a tab for each part that is given: Classify for a model, Search for an index, Explore for a
    dataset; without any, those of the demo. It is reached from this machine alone unless --host or --share says else.

    Examples:
        mlrsnet app --model runs/train --index my-index --data-dir path/to/mlrsnet
        mlrsnet app --publish USER/NAME --model USER/MODEL --embeddings USER/EMBEDDINGS
    """

    app: AppConfig
    data: DataConfig
    space: SpaceConfig

    def run(self) -> None:
        for extra in ("app", "train", "search"):
            require_extra(extra)
        if self.space.publish is not None:
            self._publish(self.space.publish)
            return
        check_paths(models=[self.app.model], labeled=True, index=self.app.index, data=self.data)
        from mlrsnet_hf.apps.app import run_app
        from mlrsnet_hf.apps.parts import open_parts

        config, data = self.app, self.data if changed_settings(self.data) else None
        if config.model is None and config.index is None and data is None:
            from mlrsnet_hf.demo import complete_demo

            demo = complete_demo(config.demo_dir)
            config, data = dataclasses.replace(config, model=str(demo.run), index=str(demo.index)), demo.data
        with open_parts(config, data) as parts:
            run_app(parts, config)

    def _publish(self, repo_id: str) -> None:
        from mlrsnet_hf.inputs.catalog import Catalog
        from mlrsnet_hf.inputs.load import load_data
        from mlrsnet_hf.inputs.pixels.thumbnails import Thumbnails, thumbnails_folder
        from mlrsnet_hf.publishing.app_space import AppParts, build_app_space
        from mlrsnet_hf.publishing.hub import check_can_publish
        from mlrsnet_hf.publishing.publish import build_and_send

        space = self.space
        if not space.dry_run:
            check_can_publish(repo_id)
        parts = AppParts(
            model=self.app.model and self.app.model.removeprefix(HUB),
            embeddings=space.embeddings,
            catalog=Catalog(load_data(self.data)) if changed_settings(self.data) else None,
            with_images=space.with_images,
            thumbnails=Thumbnails(thumbnails_folder()),
        )
        built = build_and_send(
            lambda folder: build_app_space(parts, folder, repo_id),
            repo_id,
            "app",
            "give the same command again",
            dry_run=space.dry_run,
            output_dir=space.output_dir,
            private=space.private,
        )
        print_result(built.summary())
