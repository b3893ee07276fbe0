"""Which embeddings a measurement takes, and which models it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.sources import _folder_name, trained_images

WRITTEN = Path(__file__).parents[2] / "fixtures" / "written_at_3f65ed4"


def test_embeddings_of_earlier_versions_are_found_again() -> None:
    """The name was made before tables had settings of their own."""
    config = RetrievalConfig(model=("m",))
    name = _folder_name("runs/a", "f", ImageSet(dataset="x", split="query+database", split_seed=3), None, config)
    assert name == "a-pre_logits-e97229c08a30"
    for changes in ({"label_columns": ("a",)}, {"missing": "ignore"}, {"image_dir": "y"}):
        assert (
            _folder_name(
                "runs/a", "f", ImageSet(dataset="x", split="query+database", split_seed=3, **changes), None, config
            )
            != name
        )


@pytest.mark.parametrize("model", ["finished", "finished/model"])
def test_damaged_results_do_not_let_trained_images_pass(model: str, tmp_path: Path) -> None:
    shutil.copytree(WRITTEN / "finished", tmp_path / "finished")
    file = tmp_path / "finished" / "results.json"
    name, whole = str(tmp_path / model), json.loads(file.read_text())

    def seen(*, allowed: bool = False) -> int | None:
        config = RetrievalConfig(model=(name,), allow_trained=allowed)
        return trained_images(name, config, ImageSet(protocol="retrieval10"), load_images)

    assert seen() == 0, "ratio40 of the same seed"
    for damage in (
        file.read_text()[:-9],
        json.dumps(whole | {"format": 99}),
        *(json.dumps(whole | {"data": whole["data"] | part}) for part in ({"split_seed": None}, {"protocol": 5})),
        json.dumps(whole | {"data": {key: value for key, value in whole["data"].items() if key != "dataset"}}),
    ):
        file.write_text(damage)
        with pytest.raises(ConfigurationError, match=r"results\.json.*which images the model was trained on"):
            seen()
        assert seen(allowed=True) is None
    file.unlink()
    assert seen() is None
