"""The command that opens the app in the browser."""

import dataclasses
from dataclasses import dataclass

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.config import DataConfig


@dataclass(frozen=True, kw_only=True)
class App:
    """Classify, search and explore images in the browser.

    Serves a page with a tab for each part that is given: Classify for a model, Search for an index, Explore for a
    dataset; without any, those of the demo. It is reached from this machine alone unless --host or --share says else.

    Examples:
        mlrsnet app --model runs/train --index my-index --data-dir path/to/mlrsnet
    """

    app: AppConfig
    data: DataConfig

    def run(self) -> None:
        for extra in ("app", "train", "search"):
            require_extra(extra)
        from mlrsnet_hf.apps.app import run_app
        from mlrsnet_hf.apps.parts import open_parts

        config, data = self.app, self.data if changed_settings(self.data) else None
        if config.model is None and config.index is None and data is None:
            from mlrsnet_hf.demo import complete_demo

            demo = complete_demo(config.demo_dir)
            config, data = dataclasses.replace(config, model=str(demo.run), index=str(demo.index)), demo.data
        with open_parts(config, data) as parts:
            run_app(parts, config)
