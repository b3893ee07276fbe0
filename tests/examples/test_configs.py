"""The files of examples/configs through the parsers that read them."""

import re
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType

from mlrsnet_hf.cli import Train
from mlrsnet_hf.configuration.command_line import parse
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.runtime.device import refuse_split_models
from mlrsnet_hf.training.recipes import RECIPES, paper

CHECKOUT = Path(__file__).parents[2]
CONFIGS = sorted((CHECKOUT / "examples/configs").glob("*.yaml"))
LAUNCHES = sorted((CHECKOUT / "examples/configs/accelerate").glob("*.yaml"))
ALL = [pytest.param(path, id=path.name) for path in [*CONFIGS, *LAUNCHES]]


def command(path: Path) -> list[str]:
    """Return the words of the command in the comment at the head of a file."""
    text = re.sub(r"\\\n# +", "", path.read_text(encoding="utf-8"))
    (line,) = re.findall(r"^#     ((?:accelerate|mlrsnet) .*)", text, re.MULTILINE)
    return str(line).split()


def arguments_of_train(words: list[str]) -> list[str]:
    return words[words.index("train") + 1 :]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in CONFIGS])
def test_settings_are_known_and_fit(path: Path) -> None:
    settings = parse(Train, None, ["--config", str(path)])
    assert settings.choice.recipe in RECIPES
    assert settings.training.output_dir.parts[0] == "runs"


def test_the_papers_file_is_the_papers_recipe() -> None:
    training = parse(Train, None, ["--config", str(CHECKOUT / "examples/configs/paper.yaml")]).training
    assert (training.model, training.learning_rate) == (paper("DenseNet201").model, 0.01)


@pytest.mark.parametrize("path", ALL)
def test_the_command_at_the_head_can_be_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    words = command(path)
    assert str(path.relative_to(CHECKOUT)) in words
    assert parse(Train, None, arguments_of_train(words)).choice.recipe in RECIPES
    if words[0] == "accelerate":
        options = launch_command_parser().parse_args(words[2:])
        assert options.module and options.training_script == "mlrsnet_hf"
        assert options.config_file is None or Path(options.config_file).is_file()


@pytest.mark.parametrize(
    ("name", "processes", "precision", "kind"),
    [
        ("cpu", 1, "no", "use_cpu"),
        ("single_gpu_bf16", 1, "bf16", None),
        ("multi_gpu", 4, "bf16", "multi_gpu"),
    ],
)
def test_accelerate_starts_what_the_file_says(name: str, processes: int, precision: str, kind: str | None) -> None:
    path = str(CHECKOUT / f"examples/configs/accelerate/{name}.yaml")
    load_config_from_file(path)  # refuses keys that it does not know
    given = launch_command_parser().parse_args(["--config_file", path, "examples/train.py"])
    given.nondefault = set()
    options, _, _ = _validate_launch_command(given)
    assert (options.num_processes, options.mixed_precision) == (processes, precision)
    assert [key for key in ("use_cpu", "multi_gpu") if getattr(options, key)] == ([kind] if kind else [])


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in LAUNCHES])
def test_the_trainer_takes_what_accelerate_is_told(path: Path) -> None:
    refuse_split_models(load_config_from_file(str(path)).distributed_type)


def test_models_in_pieces_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"FSDP.*accelerate"):
        refuse_split_models(DistributedType.FSDP)


def test_every_file_is_looked_at() -> None:
    assert {path.stem for path in LAUNCHES} == {"cpu", "single_gpu_bf16", "multi_gpu"}
    assert {"debug_cpu", "modern", "paper"} <= {path.stem for path in CONFIGS}
