"""By words: `mlrsnet embed --model open_clip:...` to `mlrsnet search --text`, in the order of open_clip by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.embed import embed
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import info_from_json
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")

WORDS = ["harbor with ships", "a forest, seen from above"]
CONFIG = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def network() -> torch.nn.Module:
    torch.manual_seed(4)
    model = open_clip.create_model("text-clip").eval()
    for name, parameter in model.visual.named_parameters():
        if name in ("class_embedding", "positional_embedding"):
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    (folder / "text-clip.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "text-clip.json")
    torch.save(network().state_dict(), folder / "text-clip.pt")
    return folder / "text-clip.pt"


@pytest.fixture(scope="module")
def colored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colored")
    draw = np.random.default_rng(1)
    for number in range(20):
        noise = Image.fromarray(draw.integers(0, 256, (2, 2, 3), dtype=np.uint8))
        noise.resize((40, 40), Image.Resampling.NEAREST).save(folder / f"{number:02d}.png")
    return folder


def similarities(colored: Path, words: list[str]) -> np.ndarray:
    """Return the cosine of each text and each picture, by open_clip alone, in float64."""
    model = network()
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(model)), is_train=False
    )
    pixels = torch.stack([transform(Image.open(path)) for path in sorted(colored.iterdir())])
    with torch.inference_mode():
        images = model.encode_image(pixels).double()
        texts = model.encode_text(open_clip.get_tokenizer("text-clip")(words)).double()
    return (texts / texts.norm(dim=1, keepdim=True) @ (images / images.norm(dim=1, keepdim=True)).T).numpy()


def test_words_find_what_open_clip_finds(
    checkpoint: Path, colored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings, index = tmp_path / "embeddings", tmp_path / "index"
    main(
        [
            *("embed", "--model", "open_clip:text-clip", "--weights", str(checkpoint), "--images", str(colored)),
            *("--output-dir", str(embeddings)),
        ]
    )
    main(["index", str(embeddings), str(index), "--kind", "flat"])
    stored = open_embeddings(embeddings)
    assert (stored.info.text, stored.info.normalized, stored.info.dimension) == (True, True, 12)
    assert info_from_json(stored.info.to_json(), "again") == stored.info
    capsys.readouterr()
    page = tmp_path / "found.html"
    main(["search", str(index), "--text", WORDS[0], "--text", WORDS[1], "-k", "20", "--html", str(page)])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("query: ")] == [f"query: {words}" for words in WORDS]
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    for number, cosines in enumerate(similarities(colored, WORDS)):
        found = rows[20 * number : 20 * number + 20]
        order = np.argsort(-cosines)
        assert [name for _, name, _ in found] == [f"{row:02d}.png" for row in order]
        # Of vectors of length 1 the squared distance is 2 - 2 cos.
        distances = [float(distance) for _, _, distance in found]
        np.testing.assert_allclose(distances, np.sqrt(2 - 2 * cosines[order]), atol=2e-4)
    assert all(words in page.read_text() for words in WORDS)


def test_words_and_pictures_may_be_asked_together(
    checkpoint: Path, colored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = {"model": "open_clip:text-clip", "weights": str(checkpoint)}
    embed(EmbeddingConfig(**choice, output_dir=tmp_path / "embeddings", pca=5), ImageSet(images=str(colored)))
    build_index(tmp_path / "embeddings", tmp_path / "index", "flat")
    main(["search", str(tmp_path / "index"), str(colored / "03.png"), "07.png", "--text", WORDS[0], "-k", "3"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = [line[1] for line in lines if line[:1] == ["1"]]
    assert first[:2] == ["03.png", "07.png"]
    with open_index(tmp_path / "index") as index:
        (vector,) = index.embed_texts([WORDS[0]])
        assert index.search(vector, k=1)[0][0].id == first[2]
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_an_index_of_another_network_knows_no_words(
    make_embeddings: Callable[..., EmbeddingFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings = make_embeddings(rows=4)
    assert "text" not in embeddings.info.to_json(), "as versions before this one wrote it"
    build_index(embeddings, tmp_path / "index", "flat")
    with pytest.raises(SystemExit) as ended:
        main(["search", str(tmp_path / "index"), "--text", "harbor"])
    assert ended.value.code == 2
    assert "knows no text" in capsys.readouterr().err
    with open_index(tmp_path / "index") as index, pytest.raises(ConfigurationError, match="knows no text"):
        index.embed_texts(["harbor"])
