"""Names that try to leave the page they are printed on: a card reads as it would with harmless ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlrsnet_hf.publishing.embeddings_card import EmbeddingsCard
from mlrsnet_hf.publishing.model_card import ModelCard
from mlrsnet_hf.publishing.origin import Origin
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.training.results import TrainingResult

RESULTS = Path(__file__).parents[1] / "fixtures/written_at_3f65ed4/finished/results.json"
HOSTILE = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "line\n# Heading", "\x1b[2J\x1b[31mred", "a|b"),
    *(
        "=1+1",
        "`code`",
        "[x](javascript:y)",
        "never seen\n- item",
        "**bold**",
        "&lt;b&gt;",
        "![x](y)",
        "$x$",
        "\u202eabc",
    ),
    *("1. one", "> quote", "---", "~~x~~", "\\", "http://x.y", "|", "```\nx", "_a_", "\r\n\r\n<b>"),
]
NAMES = ("text", "text_special", "code_inline")
"""Kinds of what may be made of a name."""
PLAIN = [f"name{number}" for number in range(len(HOSTILE))]


def without_header(card: str) -> str:
    """Return the Markdown below a card's YAML."""
    header, _, markdown = card.removeprefix("---\n").partition("\n---\n")
    assert isinstance(yaml.safe_load(header), dict)
    return markdown


def card_of_a_run(names: list[str]) -> str:
    content: dict[str, Any] = json.loads(RESULTS.read_text())
    labels = names + [f"other {number}" for number in range(60 - len(names))]
    content["data"] |= {"label_names": labels, "dataset": names[0], "protocol": names[6], "hub_id": None}
    content["labels"] = [row | {"label": name} for row, name in zip(content["labels"], labels, strict=True)]
    content["recipe"] = names[2]
    content["model"] |= {"architecture": names[7]}
    content["run"] |= {"device": names[4]}
    results = TrainingResult.from_dict(content)
    cards = []
    for start in range(0, len(names), 6):
        shown = names[start : start + 6]
        tuned = content["tuned"] | {"untuned": shown, "few": dict.fromkeys(shown, 3)}
        results = TrainingResult.from_dict(content | {"tuned": tuned})
        origin = Origin(f"`{names[start]}`", names[1])
        card = ModelCard(repo_id="jane/net", results=results, origin=origin, file_names=("config.json", names[1]))
        cards.append(without_header(card.render()))
    return "\n".join(cards)


def card_of_embeddings(names: list[str]) -> str:
    cards = []
    for name in names:
        info = EmbeddingInfo(
            model=name,
            architecture=name,
            model_fingerprint=name,
            layer="pooled",
            dimension=8,
            dtype="float32",
            normalized=True,
            dataset={"name": name, "split": name, "protocol": name},
            dataset_fingerprint=name,
            rows=3,
        )
        card = EmbeddingsCard(info=info, scores={name: 0.5}, protocol=f"By {name}, all.")
        cards.append(without_header(card.render()))
    return "\n".join(cards)


@pytest.mark.parametrize("card_of", [card_of_a_run, card_of_embeddings])
def test_a_card_has_the_form_that_harmless_names_give(card_of: Any) -> None:  # noqa: ANN401 - a function of names
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("gfm-like", {"linkify": False})

    def form(card: str) -> list[str]:
        """Return the kinds of all that a reader finds, but for names, which may stand as text or as code."""
        tokens = reader.parse(card)
        inner = [one.type for token in tokens for one in token.children or ()]
        return [token.type for token in tokens] + [kind for kind in inner if kind not in NAMES]

    hostile = card_of(HOSTILE)
    assert form(hostile) == form(card_of(PLAIN))
    for sign in "\x1b\u202e\r":
        assert sign not in hostile
    assert "<script" not in reader.render(hostile) and "<img src=x" not in reader.render(hostile)
