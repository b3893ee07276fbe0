"""Files that anybody may have written: damaged at random, each is read or refused in one sentence, and no slower.

What is damaged was whole: the fixtures of version 0.1. MLRSNET_DAMAGED_FILES sets how many damages of each are tried.
"""

import copy
import dataclasses
import json
import math
import os
import random
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from safetensors.torch import save_file

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import read_values
from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.curation.diversity.relative import relative_diversity
from mlrsnet_hf.curation.diversity.study import (
    Answer,
    ShownPair,
    Study,
    Trial,
    choices_of,
    keep_trial_answers,
    read_study,
)
from mlrsnet_hf.curation.suggestions.suggest import read_answers
from mlrsnet_hf.curation.vocabulary.files import read_described
from mlrsnet_hf.curation.vocabulary.vocabulary import (
    Merges,
    SceneVocabulary,
    Vocabulary,
    build_vocabulary,
    merges_text,
    read_merges,
    read_vocabulary,
    write_vocabulary,
)
from mlrsnet_hf.curation.votes.event_log import Candidate, RoundOpened, Vote, open_log, read_log
from mlrsnet_hf.curation.votes.rounds import count_votes, replay
from mlrsnet_hf.curation.wrong_labels.label_patterns import vocabulary_rules
from mlrsnet_hf.dataset.near_duplicates.groups import read_groups
from mlrsnet_hf.dataset.splits.split_files import read_split_file
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.stream_writing import write_stream
from mlrsnet_hf.inputs.task import ImageData, Task
from mlrsnet_hf.metrics.means import Interval
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.prediction.evaluation import EvaluationResult, draw_saved, summarize
from mlrsnet_hf.prediction.predictions_file import (
    SavedPredictions,
    ScoredPredictions,
    read_predictions,
)
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, EmbeddingsCard, write_embeddings_card
from mlrsnet_hf.publishing.model_card import ModelCard
from mlrsnet_hf.publishing.origin import Origin
from mlrsnet_hf.release import open_release
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.pca import Pca, load_pca
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index.description import read_description
from mlrsnet_hf.retrieval.index.sources import read_sources
from mlrsnet_hf.retrieval.protocol.measures import LabelComparison
from mlrsnet_hf.retrieval.protocol.results import (
    Examples,
    ModelResult,
    ProtocolResult,
    Repeat,
    RetrievalResult,
    SceneResult,
    read_scores,
)
from mlrsnet_hf.training.checkpoints import Checkpoints
from mlrsnet_hf.training.history import read_history
from mlrsnet_hf.training.learned_images import data_in_export
from mlrsnet_hf.training.rate_scores import RateTrials, StoredTrials
from mlrsnet_hf.training.results import TrainingResult
from tests.prediction.test_predictions_file import made_info

WRITTEN = Path(__file__).with_name("fixtures") / "written_at_3f65ed4"
DAMAGES = int(os.environ.get("MLRSNET_DAMAGED_FILES", "60"))
SECONDS = 20.0
"""What no damage may take; the whole file takes less than one."""

PAIRS = tuple(ShownPair(set=one, first="a", second="b") for one in ("ours", "theirs"))
STUDY = Study(
    title="study 0a1b",
    sets={"ours": "/ours", "theirs": "/theirs"},
    side=64,
    trials_per_category=2,
    pairs=1,
    observers=2,
    seed=0,
    imagery="",
    images={"beach": {"ours": 2, "theirs": 3}},
    trials=tuple(Trial(key=key, category="beach", pairs=PAIRS) for key in ("0c", "1d")),
)
IDS = {"beach": [f"beach_{i:05d}" for i in range(1, 21)]}
PICTURE = Image.new("RGB", (40, 50))
HOSTILE: list[Any] = [
    *(None, True, -1, 0, 1, 61, 10**6, 2**63, 10**400, 0.5, -0.5, 1e300, float("nan"), float("inf")),
    *("", "x", "none", "\x1b[2J\u202e", "=1+1", "x" * 3000, "../../x", "\ud800"),
    *([], [1], ["x", None], [[0]], [0] * 3000, {}, {"x": 1}, {"names": 5}, {"feature": []}),
]


def read_rules(path: Path) -> None:
    vocabulary_rules(read_vocabulary(path), ["beach"], ["sea", "sand"])


def read_choices(path: Path) -> None:
    relative_diversity(choices_of(STUDY, keep_trial_answers(STUDY, path, [])), [*STUDY.sets], draws=10)


def read_model(folder: Path) -> None:
    saved = load_model(folder)
    saved.preprocessing.evaluation_transform()(PICTURE)


def read_onnx(path: Path) -> None:
    model = load_named_model(ModelChoice(model=str(path)))
    model.preprocessing.evaluation_transform()(PICTURE)
    data_in_export(model, allow_trained=False, option="--allow-trained")


def read_other(path: Path) -> None:
    named = load_named_model(ModelChoice(model=str(path.parent)))
    named.preprocessing.evaluation_transform()(PICTURE)


def read_start(folder: Path) -> None:
    build_model("test_efficientnet", [f"label {i}" for i in range(60)], str(folder))


def read_embeddings(folder: Path) -> None:
    table = EmbeddingTable.load(folder)
    if len(table):
        table.search(table.embeddings[:1], k=1)
    EmbeddingsCard(info=table.info).render()


def read_index(path: Path) -> None:
    description = read_description(read_json(path, Any, "Build it again."), str(path))
    assert read_description(description.to_json(), "again") == description
    read_sources(path.parent)


def read_results(path: Path) -> None:
    results = TrainingResult.load(path)
    results.report()
    ModelCard(repo_id="jane/net", results=results, origin=Origin("")).render()


def read_evaluation(path: Path) -> None:
    evaluation = EvaluationResult.load(path)
    evaluation.report()
    results = TrainingResult.load(WRITTEN / "finished/results.json")
    ModelCard(repo_id="jane/net", results=results, origin=Origin(""), evaluations=(evaluation,)).render()


def read_retrieval(path: Path) -> None:
    for protocol in read_scores(path).protocols:
        for model in filter(None, (protocol.model, protocol.compared)):
            model.curve()
            for name in model.names():
                model.mean(name)
                [model.of_scene(scene, name) for scene in model.scenes()]


def read_copy(path: Path) -> None:
    for record in open_release(path).records():
        assert record.image is not None


def read_stream(folder: Path) -> None:
    data = load_data(DataConfig(streaming=str(folder)))
    assert data.stream is not None
    list(data.stream.files("train", data.splits["train"], folder / "kept", 1).read(range(3)))


def write_table(path: Path, rows: dict[str, list]) -> None:
    if path.suffix == ".csv":
        lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.table(rows), path)


SHORT = {
    **{"model": "net", "architecture": "resnet18", "model_fingerprint": "f" * 64, "layer": "pooled", "dimension": 8},
    **{"dtype": "float32", "normalized": False, "dataset_fingerprint": "e" * 64, "rows": 9, "dataset": {"name": "x"}},
}
GROWING = {
    **{"digest": "d" * 32, "ef": 128, "target": 0.9, "recall": {"value": 1.0, "depth": 10, "queries": 30, "ef": 128}},
    "appended": [{"rows": 5, "dataset": {"name": "y"}, "dataset_fingerprint": "c" * 64}],
    "growth": {"embeddings": SHORT, "digest": "b" * 32, "before": 21, "after": 30, "done": 4, "placed": 2},
}
"""What the index of version 0.1 says of itself since, of an append that was cut short."""
SPLIT = {"id": IDS["beach"], "split": ["train"] * 10 + ["test"] * 10}
BOUNDARIES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "config.json": (lambda f: f / "finished/model/config.json", lambda path: read_model(path.parent)),
    "config.json of weights": (lambda f: f / "finished/model/config.json", lambda path: read_start(path.parent)),
    "model.safetensors": (lambda f: f / "finished/model/model.safetensors", lambda path: read_model(path.parent)),
    "model.onnx": (lambda f: f / "exported" / "model.onnx", read_onnx),
    "config.json of transformers": (lambda f: write_transformers(f) / "config.json", read_other),
    "preprocessor_config.json": (lambda f: write_transformers(f) / "preprocessor_config.json", read_other),
    "open_clip_config.json": (lambda f: write_open_clip(f) / "open_clip_config.json", read_other),
    "embeddings.json": (lambda f: f / "embeddings/embeddings.json", lambda path: read_embeddings(path.parent)),
    "embeddings": (
        lambda f: f / "embeddings/data/query_database-00000-of-00001.parquet",
        lambda path: read_embeddings(path.parent.parent),
    ),
    "index.json": (lambda f: f / "index-hnsw/index.json", read_index),
    "retrieval.json": (lambda f: f / "embeddings" / RESULTS_FILE, lambda path: write_embeddings_card(path.parent)),
    "a copy": (lambda f: f / "prepared/data/harbor_port-a-0.parquet", read_copy),
    "vocabulary.yaml": (lambda f: f / "vocabulary.yaml", read_rules),
    "merges.yaml": (lambda f: f / "merges.yaml", read_merges),
    "described.csv": (lambda f: f / "described.csv", lambda path: build_vocabulary(read_described(path))),
    "described.parquet": (lambda f: f / "described.parquet", lambda path: build_vocabulary(read_described(path))),
    "events.jsonl": (lambda f: f / "events.jsonl", lambda path: count_votes(replay(read_log(path)))),
    "study.json": (lambda f: f / "study.json", read_study),
    "answers.json": (lambda f: f / "answers.json", read_choices),
    "settings.yaml": (lambda f: f / "finished/settings.yaml", lambda path: read_values(path, Train)),
    "results.json": (lambda f: f / "finished/results.json", read_results),
    "trials.json": (lambda f: f / "trials.json", lambda path: StoredTrials.load(path).trials.chosen),
    "history.json": (lambda f: f / "finished/history.json", read_history),
    "state.json": (
        lambda f: f / "interrupted/pictures/checkpoints/step-00000008/state.json",
        lambda path: Checkpoints(path.parents[1]).newest(),
    ),
    "split.csv": (lambda f: f / "split.csv", lambda path: read_split_file(path, IDS)),
    "split.parquet": (lambda f: f / "split.parquet", lambda path: read_split_file(path, IDS)),
    "groups.csv": (lambda f: f / "groups.csv", read_groups),
    "stream.json": (lambda f: f / "stream/stream.json", lambda path: read_stream(path.parent)),
    "rows of a stream": (lambda f: f / "stream/train/rows.parquet", lambda path: read_stream(path.parents[1])),
    "index of a stream": (lambda f: f / "stream/train/index.json", lambda path: read_stream(path.parents[1])),
    "pca.npz": (lambda f: f / "pca.npz", load_pca),
    "evaluation.json": (lambda f: f / "evaluation.json", read_evaluation),
    "predictions": (lambda f: f / "predictions.parquet", read_predictions),
    "scores of tiles": (lambda f: f / "scores.parquet", read_answers),
    "results.json of retrieval": (lambda f: f / "retrieval.json", read_retrieval),
}


def add_made_files(folder: Path) -> None:
    """Write the files that version 0.1 left none of."""
    for suffix in ("csv", "parquet"):
        write_table(folder / f"split.{suffix}", SPLIT)
    write_table(folder / "groups.csv", {"id": IDS["beach"], "group": list(range(20))})
    for suffix in ("csv", "parquet"):
        words = ["sea;sand"] * 20 if suffix == "csv" else [["sea", "sand"]] * 20
        write_table(folder / f"described.{suffix}", {"image": IDS["beach"], "scene": ["beach"] * 20, "labels": words})
    sample = SceneVocabulary(images=9, labels={"sea": 9, "sand": 7})
    write_vocabulary(Vocabulary(scenes={"beach": sample}), folder / "vocabulary.yaml")
    (folder / "merges.yaml").write_text(merges_text(Merges(labels={"Sea": "sea"}), {"seas": "sea"}, {}))
    with open_log(folder / "events.jsonl") as log:
        log.append([Candidate(image="a", category="beach"), RoundOpened(round=1, stage=1, votes={"a": 1})])
        log.append([Vote(stage=1, image="a", annotator="b", answers=("beach",))])
    (folder / "study.json").write_text(json.dumps(dataclasses.asdict(STUDY)))
    answers = [Answer(key=key, annotator="a@b.org", annotation="1 of 2026", pair=1) for key in ("0c", "1d")]
    (folder / "answers.json").write_text(json.dumps([dataclasses.asdict(answer) for answer in answers]))
    scores = {"scores": {"anmrr": 0.5, "map": None}, "protocol": "retrieval10"}
    (folder / "embeddings" / RESULTS_FILE).write_text(json.dumps(scores))
    trials = RateTrials(base=0.1, rates=(0.1, 0.3), metric="map", held_out=9, images=8, epochs=1, steps=2)
    trials = trials.with_score(0.5).with_score(math.nan)
    stored = StoredTrials(settings={"epochs": 3}, data={"fingerprint": "a"}, precision="no", trials=trials)
    stored.save(folder / "trials.json")
    index = folder / "index-hnsw" / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | GROWING))
    rows = Dataset.from_dict({"id": ["a", "b", "c"], "image": [PICTURE] * 3, "labels": [[0], [], [1, 0]]})
    rows = rows.cast_column("image", ImageFeature())
    splits, names = {"train": rows, "validation": rows}, ("sea", "sand")
    stream = ImageData(splits=splits, label_names=names, scene_names=(), source={"fingerprint": "a"})
    write_stream(stream, folder / "stream")
    info = dataclasses.replace(made_info("labels+scene", 9), thresholds={"sea": 0.5, "sand": 0.25})
    scores, scenes = np.linspace(0, 1, 18).reshape(9, 2), np.arange(9) % 2
    predictions = ScoredPredictions.of_scores(np.eye(9, 2, dtype=np.float32), scores, scenes, scores[::-1])
    task = Task(kind="labels+scene", label_names=names, scene_names=("beach", "harbor"))
    ids = tuple("abcdefghi")
    saved = SavedPredictions(info=info, ids=ids, task=task, predictions=predictions, scenes=scenes)
    saved.write(folder / "predictions.parquet")
    scores = {"id": ["a", "b"], "labels": [["sea"], []], "score:sea": [0.7, 0.1], "score:sand": [0.2, None]}
    pq.write_table(pa.table(scores), folder / "scores.parquet")
    summarize(saved, draw_saved(saved, 10)).save(folder / "evaluation.json")
    Pca(np.zeros(8), np.eye(3, 8), np.ones(3), True, 0.9, 20).save(folder / "pca.npz")
    write_onnx(folder / "exported" / "model.onnx")
    write_retrieval_results(folder / "retrieval.json")


def write_retrieval_results(path: Path) -> None:
    """Write what a measurement of retrieval leaves, of two scenes."""
    values, curve = {"anmrr": 0.25, "precision_at_10": math.nan}, tuple(np.linspace(1, 0, 101).tolist())
    scene = SceneResult(queries=2, relevant=5, values=values, curve=curve)
    repeat = Repeat(
        seed=0,
        queries=4,
        database=12,
        values=values,
        best_possible={"precision_at_10": 0.5},
        left_out={"precision_at_500": "the database is too small"},
        queries_without={"beach": 1},
        curve=curve,
        scenes={"harbor": scene, "beach": scene},
    )
    model = ModelResult(repeats=[repeat])
    common = [[LabelComparison(10, 3.0, 2.5, Interval(0.1, 0.9, 0.95))]]
    protocol = ProtocolResult(name="retrieval10", percent=10, model=model, compared=model, common_labels=common)
    info = EmbeddingInfo(**SHORT | {"label_names": ("sea",), "scene_names": ("harbor", "beach")})
    result = RetrievalResult(
        name="net",
        info=info,
        compared_name="other",
        compared_info=info,
        distance="euclidean",
        protocols=[protocol],
        examples=Examples(protocol="retrieval10", seed=0, model=[], compared=[]),
        notes=["a note"],
        versions={"numpy": "2"},
    )
    path.write_text(json.dumps(result.to_json()))


def write_transformers(parent: Path) -> Path:
    """Save a small classifier of transformers."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=16, id2label={0: "sea", 1: "sand"})
    transformers.ViTForImageClassification(config).save_pretrained(parent / "vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(parent / "vit")
    return parent / "vit"


def write_open_clip(parent: Path) -> Path:
    """Save a small network of open_clip, as its repositories hold it."""
    tower = {"layers": 1, "width": 16}
    towers = {
        "vision_cfg": {**tower, "image_size": 32, "head_width": 8, "patch_size": 16},
        "text_cfg": {**tower, "context_length": 8, "vocab_size": 100, "heads": 2},
    }
    shown = {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    folder = parent / "clip"
    folder.mkdir()
    told = {"model_cfg": {"embed_dim": 8, **towers}, "preprocess_cfg": shown}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    state = open_clip.create_model(f"local-dir:{folder}").state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
    return folder


def write_onnx(path: Path) -> None:
    """Write the mean of each channel, weighted, as an exported network of two labels."""
    kind, helper = onnx.TensorProto.FLOAT, onnx.helper
    ends = [
        helper.make_tensor_value_info(name, kind, ["n", *shape])
        for name, shape in (("pixels", [3, 8, 8]), ("logits", [2]))
    ]
    steps = [("GlobalAveragePool", ["pixels"], "means"), ("Flatten", ["means"], "flat")]
    nodes = [
        helper.make_node(name, taken, [given]) for name, taken, given in [*steps, ("MatMul", ["flat", "w"], "logits")]
    ]
    weights = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    shown = {"crop_pct": 1.0, "crop_mode": "center", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    told = {
        **{"format": 1, "name": "net", "architecture": "resnet18", "label_names": ["sea", "sand"], "scene_names": []},
        **{"thresholds": {"sea": 0.5, "sand": 0.4}, "preprocessing": {"input_size": [3, 8, 8], **shown}},
        "run": {"data": {"dataset": "x", "split_seed": 0, "fingerprint": "e"}, "few_images": {"sand": 3}},
    }
    helper.set_model_props(model, {key: json.dumps(value) for key, value in told.items()})
    path.parent.mkdir()
    onnx.save_model(model, path)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(boundary: str, tmp_path: Path) -> None:
    shutil.copytree(WRITTEN, tmp_path / "written")
    add_made_files(tmp_path / "written")
    place, read = BOUNDARIES[boundary]
    path = place(tmp_path / "written")
    whole, faults, folder = path.read_bytes(), [], path.parent
    read(path)
    for seed in range(DAMAGES):
        folder.mkdir(exist_ok=True)  # a damaged checkpoint is set aside
        path.write_bytes(damaged(whole, path, random.Random(seed)))
        begin = time.perf_counter()
        try:
            read(path)
        except MLRSNetError as error:
            if not error.remedy.strip() or not error.found.strip():
                faults.append(f"{seed}: no sentence: {error}")
        except Exception:
            faults.append(f"{seed}: {traceback.format_exc(limit=-4)}")
        if time.perf_counter() - begin > SECONDS:
            faults.append(f"{seed}: took {time.perf_counter() - begin:.1f} s")
        if not path.exists():
            aside = next(one for one in folder.parent.glob("damaged-*"))
            shutil.move(aside, folder)
    assert not faults, f"{len(faults)} of {DAMAGES}:\n" + "\n".join(faults[:5])


def damaged(whole: bytes, path: Path, draw: random.Random) -> bytes:
    """Return a file's content with some bytes or, of a form that is known, some values changed."""
    ways: list[Callable[[bytes, random.Random], bytes]] = [other_bytes]
    if path.suffix == ".json":
        ways = [other_bytes, *[other_values] * 4]
    elif path.suffix == ".parquet":
        ways = [other_bytes, other_bytes, other_metadata, other_column]
    elif path.suffix == ".onnx":
        ways = [other_bytes, other_properties, other_properties]
    elif path.suffix in (".yaml", ".csv"):
        ways = [other_bytes, *[other_words] * 3]
    return draw.choice(ways)(whole, draw)


def other_bytes(whole: bytes, draw: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(draw.choice([1, 1, 3, 30])):
        at = draw.randrange(len(content) + 1)
        length = draw.choice([1, 1, 4, 200])
        kind = draw.randrange(4)
        if kind == 0:
            content[at : at + length] = draw.randbytes(length)
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = draw.randbytes(length)
        else:
            content[at:at] = content[-length:]
    return bytes(content[: draw.randrange(len(content) + 1)] if draw.random() < 0.1 else content)


def other_values(whole: bytes, draw: random.Random) -> bytes:
    content = json.loads(whole)
    for _ in range(draw.choice([1, 1, 1, 3])):
        parents = list(_containers(content))
        if not parents:
            break
        parent = draw.choice(parents)
        key = draw.choice(list(parent)) if isinstance(parent, dict) else draw.randrange(len(parent))
        kind = draw.randrange(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[draw.choice(["x", "\x1b", "format", "names"])] = copy.deepcopy(draw.choice(HOSTILE))
        else:
            parent[key] = copy.deepcopy(draw.choice(HOSTILE))
    text = json.dumps(content)
    if draw.random() < 0.05:
        text = text.replace(":", ":" + "[" * 100_000, 1)
    if draw.random() < 0.05:
        text = text.replace(": 1", ": " + "1" * 5000, 1)
    return text.encode("utf-8", "surrogatepass")


def _containers(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict | list) and value:
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from _containers(part)


WORDS = [
    *("!!int abc", "!!python/object/apply:os.system [ls]", "&a [*a]", "*a", "<<: x", "[" * 3000, "{" * 50, "9" * 5000),
    *(
        "1e999",
        ".nan",
        "-1",
        "\x1b",
        "\u202e",
        "---",
        "? [a, b]",
        "2020-01-01",
        "'",
        '"',
        "a: b: c",
        "%TAG",
        "=1+1",
        "",
    ),
    *("all", "beach_00001", "\0", "," * 50, "none", "~", "x" * 200_000),
]


def other_words(whole: bytes, draw: random.Random) -> bytes:
    lines = whole.decode().split("\n")
    for _ in range(draw.choice([1, 1, 3])):
        at = draw.randrange(len(lines))
        head, mark, _ = lines[at].partition(draw.choice([":", ","]))
        lines[at] = draw.choice([draw.choice(WORDS), f"{head}{mark} {draw.choice(WORDS)}", lines[at - 1]])
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def other_properties(whole: bytes, draw: random.Random) -> bytes:
    """Return an ONNX file with another text among its metadata."""
    model = onnx.load_from_string(whole)
    one = draw.choice(model.metadata_props)
    changed = draw.choice([other_bytes, *[other_values] * 3])(one.value.encode(), draw)
    one.value = changed.decode("utf-8", "replace")
    return model.SerializeToString()


def other_metadata(whole: bytes, draw: random.Random) -> bytes:
    """Return a Parquet file with another text in its schema's metadata."""
    table = pq.read_table(pa.BufferReader(whole))
    metadata = dict(
        table.schema.metadata or {b"huggingface": b'{"info": {"features": {"labels": {"names": ["sea"]}}}}'}
    )
    key = draw.choice(list(metadata))
    metadata[key] = draw.choice([other_bytes, *[other_values] * 3])(metadata[key], draw) or b"{"
    return _parquet(table.replace_schema_metadata(metadata))


def other_column(whole: bytes, draw: random.Random) -> bytes:
    """Return a Parquet file of which a column is gone, stands twice, or holds something else."""
    table = pq.read_table(pa.BufferReader(whole))
    at = draw.randrange(table.num_columns)
    name, rows = table.schema.names[at], table.num_rows
    values: list[list[Any]] = [
        *([None] * rows, [1] * rows, ["x"] * rows, [b"\xff"] * rows, [[]] * rows, [[1]] * rows, [[-1, 60]] * rows),
        *([["sea"]] * rows, [[[1]]] * rows, [[None]] * rows, [{"bytes": b"x", "path": "y"}] * rows, [0.5] * rows),
        [[1] * 5000] * rows,
    ]
    kind = draw.randrange(8)
    if kind == 0:
        return _parquet(table.remove_column(at))
    if kind == 1:
        return _parquet(table.append_column(name, table[at]))
    return _parquet(table.set_column(at, name, pa.array(draw.choice(values))))


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
