"""What an embeddings folder says of itself."""

from pathlib import Path

import pytest

from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.info import LocalSources


def test_a_name_that_is_a_file_here_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mlrsnet", "pretrained", "weights.pt"):
        (tmp_path / name).touch()
    named = LocalSources(ModelChoice(weights="pretrained"), ImageSet(dataset="mlrsnet"))
    assert LocalSources.from_json(named.to_json()) == named
    filed = LocalSources.from_json(LocalSources(ModelChoice(weights="weights.pt"), ImageSet()).to_json())
    assert filed is not None and filed.model.weights == str(tmp_path / "weights.pt")
