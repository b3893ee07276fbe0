"""Recipe, YAML file and command line: which of them counts, what is refused, and that a run's settings come back."""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from mlrsnet_hf.cli import COMMANDS, Embed, Prepare, Retrieval, Search, Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.configuration.settings import all_leaves
from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.publishing.config import PublishConfig
from mlrsnet_hf.training.config import Tracker, TrainingConfig, Views
from mlrsnet_hf.training.recipes import RECIPES

WriteFile = Callable[[str], str]


def train_settings(arguments: Sequence[str]) -> Train:
    return parse(Train, "mlrsnet train", arguments)


@pytest.fixture
def yaml_file(tmp_path: Path) -> WriteFile:
    """Return a function that writes a settings file and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_the_command_line_counts_before_the_file_and_that_before_the_recipe(yaml_file: WriteFile) -> None:
    path = yaml_file("recipe: paper\nnetwork: VGGNet16\nepochs: 7\nseed: 3\nprotocol: ratio30\n")
    settings = train_settings(["--config", path, "--seed", "5", "--split-seed", "1"])
    assert settings.choice.recipe == "paper"
    assert settings.training.optimizer == "adam"  # of the recipe
    assert settings.training.model == "vgg16.tv_in1k"
    assert (settings.training.epochs, settings.data.protocol) == (7, "ratio30")  # of the file
    assert (settings.training.seed, settings.data.split_seed) == (5, 1)  # of the command line
    other = train_settings(["--config", path, "--recipe", "paper", "--network", "InceptionV3"])
    assert (other.training.model, other.training.image_size, other.training.epochs) == ("inception_v3.tf_in1k", 299, 7)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_an_unknown_option_is_told_before_what_is_missing(command: str) -> None:
    with pytest.raises(UnknownNameError, match=r"'--helpp'.*--help"):
        parse(COMMANDS[command], f"mlrsnet {command}", ["--helpp"])


def test_without_anything_the_settings_are_moderns() -> None:
    settings = train_settings([])
    assert (settings.choice.recipe, settings.training, settings.data) == (
        "modern",
        TrainingConfig(family="cnn_batchnorm"),
        DataConfig(),
    )
    assert settings.publish == PublishConfig(push_to_hub=None, private=False)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(TrainingConfig) if f.type is bool])
def test_every_switch_goes_both_ways(name: str) -> None:
    other = {"scene_head": "single_label", "single_label": "scene_head"}.get(name)
    off = [f"--no-{other.replace('_', '-')}"] if other else []
    option = name.replace("_", "-")
    assert getattr(train_settings([f"--{option}", *off]).training, name) is True
    assert getattr(train_settings([f"--no-{option}", *off]).training, name) is False


def test_values_of_every_kind() -> None:
    words = "--epochs 3 --learning_rate 2e-4 --image-size none --trackers wandb mlflow --output-dir a/b --precision no"
    config = train_settings(words.split()).training
    assert (config.epochs, config.learning_rate, config.image_size) == (3, 2e-4, None)
    assert (config.trackers, config.output_dir, config.precision) == (("wandb", "mlflow"), Path("a/b"), "no")
    assert train_settings(["--trackers"]).training.trackers == ()
    assert train_settings(["--labels-column=none"]).data.labels_column is None


def test_a_list_may_be_given_in_parts() -> None:
    words = [
        "--label-columns",
        "sea,ice",
        "--epochs",
        "3",
        "--label-columns",
        "soil, dry",
        "sand",
        "--label-columns=dam",
    ]
    settings = parse(Train, None, words)
    assert settings.data.label_columns == ("sea,ice", "soil, dry", "sand", "dam")
    assert settings.training.epochs == 3


def test_words_that_yaml_1_1_takes_for_truth_values(yaml_file: WriteFile) -> None:
    path = yaml_file("precision: no\ncache: off\nlearning_rate: 1e-3\ncompile: true\nimage_size:\nseed: 010\n")
    config = train_settings(["--config", path]).training
    assert (config.precision, config.cache, config.learning_rate) == ("no", "off", 1e-3)
    assert (config.compile, config.image_size, config.seed) == (True, None, 10)


@pytest.mark.parametrize(
    ("arguments", "error", "facts"),
    [
        ("--epoch-count 3", UnknownNameError, ("'--epoch-count'", "'--epochs'")),
        ("--scene-hed", UnknownNameError, ("'--scene-hed'", "'--scene-head'")),
        ("--no-compil", UnknownNameError, ("'--no-compil'", "'--no-compile'")),
        ("--epoch 3", UnknownNameError, ("'--epoch'",)),  # no abbreviations: a new option could change them
        ("word", ConfigurationError, ("'word'",)),
        ("--epochs ten", ConfigurationError, ("epochs='ten'", "whole number")),
        ("--epochs 2.5", ConfigurationError, ("epochs='2.5'", "whole number")),
        ("--epochs none", ConfigurationError, ("epochs='none'",)),
        ("--jitter much", ConfigurationError, ("jitter='much'", "a number")),
        ("--recipe modrn", UnknownNameError, ("'modrn'", "'modern'")),
        ("--recipe paper --network VGG16", UnknownNameError, ("'VGG16'", "'VGGNet16'")),
        ("--network ResNet50", ConfigurationError, ("'ResNet50'", "--recipe paper")),
        ("--recipe paper --network ResNet50 --model resnet18", ConfigurationError, ("'ResNet50'", "'resnet18'")),
        ("--validation-share 1", ConfigurationError, ("validation_share=1.0",)),
        ("--scene-column labels", ConfigurationError, ("'labels'", "labels_column and scene_column")),
        ("--scene-head --single-label", ConfigurationError, ("scene_head", "single_label")),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: str, error: type[MLRSNetError], facts: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(error) as caught:
        train_settings(arguments.split())
    assert all(fact in str(caught.value) for fact in facts), caught.value
    assert "\n" not in str(caught.value)


def test_an_option_without_its_value_ends_the_program_with_2(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        train_settings(["--epochs"])
    assert end.value.code == 2
    assert "--epochs" in capsys.readouterr().err


def test_settings_that_go_together_are_judged_together(yaml_file: WriteFile) -> None:
    """A file whose values do not fit the recipe is no mistake where the command line mends it."""
    path = yaml_file("scene_head: true\nsingle_label: true\n")
    assert train_settings(["--config", path, "--no-scene-head"]).training.single_label
    with pytest.raises(ConfigurationError, match="scene_head and single_label"):
        train_settings(["--config", path])


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("epochs: ten", ("epochs='ten'", "a whole number")),
        ("epochs: 2.0", ("epochs=2.0", "a whole number")),
        ("epochs: true", ("epochs=True",)),
        ("epochs:", ("epochs=None",)),
        ("epochs: 0", ("epochs=0",)),
        ("compile: yes", ("compile='yes'", "true or false")),
        ("trackers: wandb", ("trackers='wandb'", "a list of names")),
        ("optimizer: adamv", ("optimizer='adamv'", "'adamw'")),
        ("model: 5", ("model=5", "text")),
        ("epoch: 3", ("'epoch'", "'epochs'")),
        ("labels: verifed", ("labels='verifed'", "'verified'")),
        ("labels: verified\nlabel_version: verified", ("'label_version'",)),
        ("epochs: 3\nepochs: 4", ("'epochs' stands twice",)),
        ("training: {epochs: 3}", ("'training'",)),
        ("- epochs", ("no names",)),
        ("epochs: [", ("is not YAML",)),
        ("model: !!python/object:os.system x", ("is not YAML",)),
    ],
)
def test_a_wrong_file_is_refused_by_name(yaml_file: WriteFile, text: str, facts: tuple[str, ...]) -> None:
    path = yaml_file(text)
    with pytest.raises(MLRSNetError) as caught:
        train_settings(["--config", path])
    assert all(fact in str(caught.value) for fact in (f"settings file {path}", *facts)), caught.value
    assert "\n" not in str(caught.value)


def test_settings_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"settings\.yaml"):
        write_settings(tmp_path / "missing" / "settings.yaml", TrainingConfig())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml.*No such file"):
        train_settings(["--config", str(tmp_path / "gone.yaml")])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_every_option_with_choices_and_default(
    name: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        parse(COMMANDS[name], f"mlrsnet {name}", ["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", "").split())  # lines break where they will
    assert f"Examples: mlrsnet {name}" in text
    assert "None" not in text
    for setting, (field, kind) in all_leaves(COMMANDS[name]).items():
        option = setting.upper() if field.metadata["positional"] else f"--{setting.replace('_', '-')}"
        several = field.metadata["positional"] and typing.get_origin(kind) is tuple
        assert f"{field.metadata['metavar'] or option}{' ...' * several}" in text
        assert field.metadata["help"].endswith(".")
        if field.default is None:
            assert "unset" in field.metadata["help"] or "none" in field.metadata["help"], setting
        elif field.default not in (dataclasses.MISSING, ()) and not isinstance(field.default, bool | tuple):
            assert f"(default: {field.default})" in text
        if typing.get_origin(kind) is typing.Literal:
            assert f"{{{','.join(map(str, typing.get_args(kind)))}}}" in text
    for option in ("-v, --verbose", "-q, --quiet"):
        assert option in text


def test_former_names_are_taken_and_hidden(yaml_file: WriteFile, capsys: pytest.CaptureFixture) -> None:
    assert train_settings(["--labels", "as-published"]).data.label_version == "as-published"
    assert train_settings(["--config", yaml_file("labels: as-published\n")]).data.label_version == "as-published"
    assert parse(Prepare, None, ["a", "b", "--labels=as-published"]).data.label_version == "as-published"
    embed = parse(Embed, None, ["--normalise", "--labels", "as-published"])
    assert embed.config.normalize and embed.images.label_version == "as-published"
    assert not parse(Embed, None, ["--normalise", "--no-normalise"]).config.normalize
    assert parse(Retrieval, None, ["--model", "a", "--config", yaml_file("normalise: true\n")]).config.normalize
    with pytest.raises(SystemExit):
        parse(Embed, None, ["--help"])
    assert "normalise" not in capsys.readouterr().out


def test_labels_filter_in_search() -> None:
    search = parse(Search, None, ["index", "-k", "3", "picture.jpg", "--labels", "water,ships"])
    assert (search.index, search.query, search.top_k, search.labels) == ("index", ("picture.jpg",), 3, ("water,ships",))


@pytest.mark.parametrize("command", [Train, Embed, Retrieval])
@pytest.mark.parametrize("word", ["none", "no", "bf16"])
def test_a_precision_is_the_same_for_all(command: type, word: str) -> None:
    model = ["--model", "resnet18"]
    settings = parse(command, None, [*model, "--precision", word])
    (config,) = (part for part in vars(settings).values() if hasattr(part, "precision"))
    assert config.precision == (None if word == "none" else word)


def test_how_a_run_is_published() -> None:
    publish = train_settings(["--push-to-hub", "jane/x", "--revision", "v2", "--license", "mit"]).publish
    assert publish.options() == {
        "private": False,
        "revision": "v2",
        "hub_collection": None,
        "dataset_id": None,
        "license": "mit",
    }
    with pytest.raises(ConfigurationError, match=r"private.*push_to_hub"):
        train_settings(["--private"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_settings_of_a_run_come_back(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "settings.yaml"
    given = train_settings(["--recipe", recipe, "--data-dir", "x", "--no-channels-last", "--trackers"])
    write_settings(path, given.training, given.data, recipe=given.choice.recipe)
    assert train_settings(["--config", str(path)]) == given
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.yaml"]


def test_settings_of_no_recipe_come_back(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    write_settings(path, TrainingConfig(epochs=3), recipe=None)
    back = train_settings(["--config", str(path)])
    assert (back.choice.recipe, back.training, back.data) == (None, TrainingConfig(epochs=3), DataConfig())


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "model": TEXT | st.sampled_from(["no", "off", "1e-3", "010", "null", "~", "2026-01-01", "1:30", ".5", "+3", "- a"]),
    "learning_rate": st.floats(1e-12, 1e6) | st.just("auto"),
    "seed": st.integers(0, 2**32 - 1),
    "image_size": st.none() | st.integers(16, 10**6),
    "precision": st.none() | st.sampled_from(["no", "bf16", "fp16"]),
    "cache": st.sampled_from(["off", "memory", "disk"]),
    "loss": st.sampled_from(["bce", "asymmetric"]),
    "symmetries": st.sampled_from(typing.get_args(Views)),
    "compile": st.booleans(),
    "trackers": st.lists(st.sampled_from(typing.get_args(Tracker))).map(tuple),
}


@hypothesis.given(changes=st.fixed_dictionaries({}, optional=CHANGES))
@hypothesis.settings(max_examples=25)
def test_any_values_come_back_from_a_file(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "settings.yaml"
    config = TrainingConfig(**changes)
    write_settings(path, config, recipe="modern")
    assert train_settings(["--config", str(path)]).training == config
    # Other readers of YAML see the same words and truth values.
    others = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("model", "precision", "cache", "compile", "seed"):
        assert others[name] == getattr(config, name)
