"""The page of a metric's Space on the Hub: inputs and options as JSON, a result.

`evaluate.utils.launch_gradio_widget` needs a gradio before 4 and offers one configuration; this page needs gradio 5 or
newer, which a Space brings, and offers all.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError


def build_page(module_file: Path, options: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - gradio.Interface
    """Return a page that computes a module's metric.

    Args:
        module_file: `<name>.py` of the module; its README.md beside it becomes the text below.
        options: Options that suit the small examples.
    """
    import evaluate
    import gradio

    module = evaluate.load(str(module_file))
    shown_options = json.dumps(dict(options or {}))
    examples = [
        [form.name, *(json.dumps(form.example[name]) for name in ("predictions", "references")), shown_options]
        for form in module.forms
    ]

    def compute(configuration: str, predictions: str, references: str, options: str) -> dict[str, Any]:
        try:
            texts = {"predictions": predictions, "references": references, "options": options or "{}"}
            return compute_from_text(module_file, configuration, **texts)
        except MLRSNetError as error:
            raise gradio.Error(str(error)) from None

    _, card = split_card(module_file.with_name("README.md").read_text(encoding="utf-8"))
    return gradio.Interface(
        fn=compute,
        inputs=[
            gradio.Dropdown([form.name for form in module.forms], value=examples[0][0], label="Configuration"),
            gradio.Code(language="json", value=examples[0][1], label="Predictions"),
            gradio.Code(language="json", value=examples[0][2], label="References"),
            gradio.Code(language="json", value=shown_options, label="Options"),
        ],
        outputs=gradio.JSON(label=module.name),
        title=f"Metric: {module.name}",
        description=module.description,
        article=card,
        examples=examples,
    )


def compute_from_text(module_file: Path, configuration: str, **texts: str) -> dict[str, Any]:
    """Load a configuration of a module and compute it from predictions, references and options in JSON.

    Raises:
        MLRSNetError: A text is not JSON, or the inputs do not have the configuration's form.
    """
    import evaluate

    values = {}
    for name, text in texts.items():
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{name} are not JSON: {error}", "Write lists in square brackets.") from None
    options = values.pop("options")
    if not isinstance(options, dict):
        raise ConfigurationError("options are not a JSON object", 'Write {"name": value}.')
    return evaluate.load(str(module_file), configuration).compute(**values, **options)


def split_card(text: str) -> tuple[str, str]:
    """Return the YAML header of a card, without its dashes, and the text behind it."""
    match = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
    return (match[1], text[match.end() :]) if match else ("", text)
