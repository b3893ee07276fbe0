"""`mlrsnet retrieval`: embed or find embeddings, measure, write tables, figures and the page, say what came out."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from PIL import Image

from mlrsnet_hf.configuration.yaml_file import write_settings
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.files import kept_if_stopped, nulls_for_nan, refuse_existing, whole_file, whole_folder
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, embeddings_card
from mlrsnet_hf.reports.retrieval.earlier import PAGE, RESULTS, SETTINGS, earlier_results
from mlrsnet_hf.reports.retrieval.figures import write_figures
from mlrsnet_hf.reports.retrieval.page import comparison_sentence, notes, render_page
from mlrsnet_hf.reports.retrieval.tables import printed, tables
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LocalSources
from mlrsnet_hf.retrieval.embeddings.pictures import pictures_of
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.results import Examples, RetrievalResult
from mlrsnet_hf.retrieval.protocol.run import run_protocols
from mlrsnet_hf.retrieval.protocol.sources import Load, Source, find_compared, find_sources, image_set
from mlrsnet_hf.runtime.device import ended_together, inference_accelerator
from mlrsnet_hf.runtime.logs import print_result


def write_retrieval(config: RetrievalConfig) -> RetrievalResult | None:
    """Measure retrieval, and write what came out as a folder; print the row of Table 9 beside the paper's.

    The folder holds `results.json`, `settings.yaml`, every table as CSV and Markdown, every figure as PNG, and
    `index.html`, which shows all of it. It appears when it is whole. All processes of an `accelerate launch` call it;
    the first one measures.

    Returns:
        The result; None on the other processes, and where the folder holds it already.

    Raises:
        MLRSNetError: The model, the embeddings, the images or the target cannot be used.
    """
    earlier = earlier_results(config)
    accelerator = inference_accelerator(config.precision)
    with ended_together(accelerator):
        return _write(config, earlier, accelerator)


def _write(
    config: RetrievalConfig, earlier: Mapping[str, Any] | None, accelerator: Accelerator
) -> RetrievalResult | None:
    accelerator.wait_for_everyone()  # one that looked later might find what another has written by then
    load = cache(load_images)
    with kept_if_stopped(lambda: _kept(config)):
        sources = find_sources(config, load, embeddings_card)
        compared = find_compared(config, load, embeddings_card)
        if not accelerator.is_main_process:
            return None
        if earlier is not None:
            _tell_earlier(config, earlier, sources, compared)
            return None
        result = run_protocols(config, sources, compared, load)
    with whole_folder(config.output_dir) as folder:
        pictures = _pictures(result.examples, _image_sets(config, result.examples, [*sources, *compared]), load)
        made = tables(result)
        for table in made:
            table.write(folder)
        figures = write_figures(folder, result, pictures)
        (folder / PAGE).write_text(render_page(result, made, figures, pictures), encoding="utf-8")
        content = json.dumps(result.to_json(), indent=1, allow_nan=False)
        (folder / RESULTS).write_text(content + "\n", encoding="utf-8")
        write_settings(folder / SETTINGS, config)
    if all(Path(name).expanduser().is_dir() for name in config.embeddings):  # those of the Hub lie in its cache
        _tell_cards(result, sources)
    print_result(printed(result))
    for line in notes(result):
        print_result(f"note: {line}")
    if result.shown.common_labels:
        print_result(comparison_sentence(result))
    print_result(f"results: {config.output_dir}, to be looked at: {config.output_dir / PAGE}")
    return result


def _tell_earlier(
    config: RetrievalConfig, earlier: Mapping[str, Any], sources: Sequence[Source], compared: Sequence[Source]
) -> None:
    """Say that the results are there, unless they are of other embeddings than now."""
    now = [source[0].folders[0].info.to_json() if source else None for source in (sources, compared)]
    then = [earlier.get("model"), earlier.get("compared")]
    names = [
        None if info is None else {**info, "name": (told or {}).get("name")}
        for info, told in zip(now, then, strict=True)
    ]
    if nulls_for_nan(names) != then:
        refuse_existing(config.output_dir.expanduser())
    print_result(f"these results are there already, whole and of the same embeddings and settings: {config.output_dir}")
    print_result(f"to be looked at: {config.output_dir / PAGE}")


def _kept(config: RetrievalConfig) -> str | None:
    """Say where a later run finds embeddings that are whole, if there are any."""
    folder = config.embeddings_dir
    there = (config.model or config.compare) and any(folder.expanduser().glob(f"[!.]*/{INFO_FILE}"))
    return f"Finished embeddings are kept in {folder}; give the same command again to go on." if there else None


def _image_sets(config: RetrievalConfig, examples: Examples, sources: Sequence[Source]) -> list[ImageSet]:
    """Return where the examples' images may lie: in the splits that were measured, then where they were embedded."""
    places = []
    if not config.apart:
        places = [image_set(config, examples.protocol, split, examples.seed) for split in ("query", "database")]
    local = [LocalSources.read(folder.path) for source in sources for folder in source.folders]
    return places + [place.images for place in local if place is not None]


def _pictures(examples: Examples, places: Sequence[ImageSet], load: Load) -> Mapping[str, Image.Image]:
    """Return the pictures of the examples by id; what is gone is left out."""
    shown = [hit for one in (*examples.model, *examples.compared) for hit in (one.query, *one.results)]
    found: dict[str, Image.Image] = {}
    for place in places:
        missing = {hit.id: hit for hit in shown if hit.id not in found}
        if not missing:
            break
        try:
            rows = load(place).rows
        except MLRSNetError:  # moved or removed since: a report without pictures still tells the ids
            continue
        there = [(row, missing[image]) for row, image in enumerate(rows["id"]) if image in missing]
        found |= pictures_of([dataclasses.replace(hit, row=row) for row, hit in there], rows)
    return found


def _tell_cards(result: RetrievalResult, sources: Sequence[Source]) -> None:
    """Leave the scores beside embeddings that hold one split seed, for their card."""
    if len(sources) != 1 or len(sources[0].folders) != 1 or LocalSources.read(sources[0].folders[0].path) is None:
        return  # what was made elsewhere, such as a copy from the Hub, is not written into
    protocol = result.shown
    scores = {name: protocol.model.mean(name)[0] for name in protocol.model.names()}
    repeat = protocol.model.repeats[0]
    text = (
        f"{protocol.name}, split seed {repeat.seed}, {result.distance} distance: {repeat.queries:,} queries, "
        f"{repeat.database:,} images searched."
    )
    text = " ".join([text, *notes(result)])
    # Where the folder may not be written, the results still stand in their own.
    with (
        contextlib.suppress(ConfigurationError, OSError),
        whole_file(sources[0].folders[0].path / RESULTS_FILE) as path,
    ):
        path.write_text(json.dumps({"scores": scores, "protocol": text}, indent=1) + "\n", encoding="utf-8")
