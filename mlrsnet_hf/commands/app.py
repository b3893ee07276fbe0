"""The command that opens the app in the browser."""

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
        from mlrsnet_hf.apps.app import build_app, launch_app
        from mlrsnet_hf.apps.parts import open_parts

        data = self.data if changed_settings(self.data) else None
        with open_parts(self.app, data) as parts:
            launch_app(build_app(parts), self.app)
