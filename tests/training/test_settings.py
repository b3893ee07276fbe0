"""Recipe, YAML file and command line: which of them counts, what is refused, and that a run's settings come back."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st
from mlrsnet_hf.training.settings import PublishConfig, parse_settings

from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.training.config import CACHES, LOSSES, PRECISIONS, TRACKERS, VIEWS, TrainingConfig
from mlrsnet_hf.training.recipes import RECIPES

WriteFile = Callable[[str], str]


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
    settings = parse_settings(["--config", path, "--seed", "5", "--split-seed", "1"])
    assert settings.recipe == "paper"
    assert settings.training.optimizer == "adam"  # of the recipe
    assert settings.training.model == "vgg16.tv_in1k"
    assert (settings.training.epochs, settings.data.protocol) == (7, "ratio30")  # of the file
    assert (settings.training.seed, settings.data.split_seed) == (5, 1)  # of the command line
    other = parse_settings(["--config", path, "--recipe", "paper", "--network", "InceptionV3"])
    assert (other.training.model, other.training.image_size, other.training.epochs) == ("inception_v3.tf_in1k", 299, 7)


def test_without_anything_the_settings_are_moderns() -> None:
    settings = parse_settings([])
    assert (settings.recipe, settings.training, settings.data) == ("modern", TrainingConfig(), DataConfig())
    assert settings.publish == PublishConfig(push_to_hub=None, private=False)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(TrainingConfig) if f.type is bool])
def test_every_switch_goes_both_ways(name: str) -> None:
    other = {"scene_head": "single_label", "single_label": "scene_head"}.get(name)
    off = [f"--no-{other.replace('_', '-')}"] if other else []
    option = name.replace("_", "-")
    assert getattr(parse_settings([f"--{option}", *off]).training, name) is True
    assert getattr(parse_settings([f"--no-{option}", *off]).training, name) is False


def test_values_of_every_kind() -> None:
    words = "--epochs 3 --learning_rate 2e-4 --image-size none --trackers wandb mlflow --output-dir a/b --precision no"
    config = parse_settings(words.split()).training
    assert (config.epochs, config.learning_rate, config.image_size) == (3, 2e-4, None)
    assert (config.trackers, config.output_dir, config.precision) == (("wandb", "mlflow"), Path("a/b"), "no")
    assert parse_settings(["--trackers"]).training.trackers == ()
    assert parse_settings(["--labels-column=none"]).data.labels_column is None


def test_words_that_yaml_1_1_takes_for_truth_values(yaml_file: WriteFile) -> None:
    path = yaml_file("precision: no\ncache: off\nlearning_rate: 1e-3\ncompile: true\nimage_size:\nseed: 010\n")
    config = parse_settings(["--config", path]).training
    assert (config.precision, config.cache, config.learning_rate) == ("no", "off", 1e-3)
    assert (config.compile, config.image_size, config.seed) == (True, None, 10)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("--epoch-count 3", UnknownNameError, r"no option '--epoch-count'\. Did you mean '--epochs'"),
        ("--scene-hed", UnknownNameError, r"no option '--scene-hed'\. Did you mean '--scene-head'"),
        ("--no-compil", UnknownNameError, r"no option '--no-compil'\. Did you mean '--no-compile'"),
        ("--epoch 3", UnknownNameError, "no option '--epoch'"),  # no abbreviations: a new option could change them
        ("word", UnknownNameError, "no option 'word'"),
        ("--epochs", ConfigurationError, "--epochs: expected one argument"),
        ("--epochs ten", ConfigurationError, r"^epochs='ten' cannot be used\. Give a whole number\.$"),
        ("--epochs 2.5", ConfigurationError, r"^epochs='2.5' cannot be used\. Give a whole number"),
        ("--epochs none", ConfigurationError, r"^epochs='none' cannot be used"),
        ("--jitter much", ConfigurationError, r"^jitter='much' cannot be used\. Give a number\."),
        ("--recipe modrn", UnknownNameError, r"no recipe 'modrn'\. Did you mean 'modern'"),
        ("--recipe paper --network VGG16", UnknownNameError, "Did you mean 'VGGNet16'"),
        ("--network ResNet50", ConfigurationError, "goes with recipe paper alone"),
        ("--recipe paper --network ResNet50 --model resnet18", ConfigurationError, "both name the model"),
        ("--validation-share 1", ConfigurationError, r"validation_share=1.0 cannot be used"),
        ("--scene-column labels", ConfigurationError, "'labels' is given as labels_column and scene_column"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: str, error: type[MLRSNetError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_settings(arguments.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: ten", r"settings\.yaml: epochs='ten' cannot be used\. Give a whole number"),
        ("epochs: 2.0", r"settings\.yaml: epochs=2\.0 cannot be used\. Give a whole number"),
        ("epochs: true", r"settings\.yaml: epochs=True cannot be used"),
        ("epochs:", r"settings\.yaml: epochs=None cannot be used"),
        ("compile: yes", r"settings\.yaml: compile='yes' cannot be used\. Give true or false"),
        ("trackers: wandb", r"settings\.yaml: trackers='wandb' cannot be used\. Give a list of names"),
        ("model: 5", r"settings\.yaml: model=5 cannot be used\. Give text"),
        ("epoch: 3", r"settings\.yaml: there is no setting 'epoch'\. Did you mean 'epochs'"),
        ("epochs: 3\nepochs: 4", r"'epochs' stands twice"),
        ("training: {epochs: 3}", r"there is no setting 'training'"),
        ("- epochs", r"settings\.yaml holds no names with values"),
        ("epochs: [", r"settings\.yaml is not YAML"),
        ("model: !!python/object:os.system x", r"settings\.yaml is not YAML"),
        ("epochs: 0", r"epochs=0 cannot be used"),
    ],
)
def test_a_wrong_file_is_refused_by_name(yaml_file: WriteFile, text: str, message: str) -> None:
    with pytest.raises(MLRSNetError, match=message) as caught:
        parse_settings(["--config", yaml_file(text)])
    assert "\n" not in str(caught.value)


def test_settings_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"settings\.yaml: cannot be written"):
        write_settings(tmp_path / "missing" / "settings.yaml", TrainingConfig())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml cannot be read: No such file"):
        parse_settings(["--config", str(tmp_path / "gone.yaml")])


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        parse_settings(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for part in (TrainingConfig, DataConfig, PublishConfig):
        for field in dataclasses.fields(part):
            assert f"--{field.name.replace('_', '-')}" in text
            assert field.metadata["help"].endswith(".")
    assert "Optimization:" in text
    assert "[tf_efficientnet_lite0]" in text


def test_how_a_run_is_published() -> None:
    publish = parse_settings(["--push-to-hub", "jane/x", "--revision", "v2", "--license", "mit"]).publish
    assert publish.options() == {
        "private": False,
        "revision": "v2",
        "collection": None,
        "dataset_id": None,
        "license": "mit",
    }
    with pytest.raises(ConfigurationError, match="Give push_to_hub, or leave it out"):
        parse_settings(["--private"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_settings_of_a_run_come_back(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "settings.yaml"
    given = parse_settings(["--recipe", recipe, "--data-dir", "x", "--no-channels-last", "--trackers"])
    write_settings(path, given.training, given.data, given.recipe)
    assert parse_settings(["--config", str(path)]) == given
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.yaml"]


def test_settings_of_no_recipe_come_back(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    write_settings(path, TrainingConfig(epochs=3))
    back = parse_settings(["--config", str(path)])
    assert (back.recipe, back.training, back.data) == (None, TrainingConfig(epochs=3), DataConfig())


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "model": TEXT | st.sampled_from(["no", "off", "1e-3", "010", "null", "~", "2026-01-01", "1:30", ".5", "+3", "- a"]),
    "learning_rate": st.floats(1e-12, 1e6),
    "seed": st.integers(0, 2**32 - 1),
    "image_size": st.none() | st.integers(16, 10**6),
    "precision": st.none() | st.sampled_from(PRECISIONS),
    "cache": st.sampled_from(CACHES),
    "loss": st.sampled_from(LOSSES),
    "symmetries": st.sampled_from(VIEWS),
    "compile": st.booleans(),
    "trackers": st.lists(st.sampled_from(TRACKERS)).map(tuple),
}


@hypothesis.given(changes=st.fixed_dictionaries({}, optional=CHANGES))
@hypothesis.settings(max_examples=25)
def test_any_values_come_back_from_a_file(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("any") / "settings.yaml"
    config = TrainingConfig(**changes)
    write_settings(path, config, recipe="modern")
    assert parse_settings(["--config", str(path)]).training == config
    # Other readers of YAML see the same words and truth values.
    others = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("model", "precision", "cache", "compile", "seed"):
        assert others[name] == getattr(config, name)
