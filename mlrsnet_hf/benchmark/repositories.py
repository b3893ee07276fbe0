"""A benchmark as repositories of the Hub, built as folders.

Built are `models/` with a model repository for each trained network, which holds the predictions too; `results/`, a
dataset with a row for each job; `space/`, the report as a static Space; and `registration/`, the file eval.yaml of the
dataset, by which the Hub can list results of others. `publish.py` pushes them.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, constants

from mlrsnet_hf.benchmark.report.basis import attribution, headline, notes
from mlrsnet_hf.benchmark.report.images import Copy, look_at
from mlrsnet_hf.benchmark.report.page import Report, job_links, render_page
from mlrsnet_hf.benchmark.report.report import FIGURES, PAGE, TABLES, make_report, write_tables
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.benchmark.results_table import (
    COLUMNS,
    TABLE,
    public_text,
    published_files,
    published_folder,
    results_table,
    scores_of,
    write_results_table,
)
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_file_name, on_one_line
from mlrsnet_hf.evaluation.scores import SCENE_ACCURACY
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.metrics.citations import PAPER
from mlrsnet_hf.prediction.evaluation import EVALUATION
from mlrsnet_hf.publishing.cards import CARD, Markdown, code, front_matter, number, render
from mlrsnet_hf.publishing.hub import check_repo_id, repository_url
from mlrsnet_hf.publishing.model_repository import ModelPart, build_model_repository, is_run, public_value
from mlrsnet_hf.publishing.repository import Repository
from mlrsnet_hf.runtime.logs import get_logger, progress_bar
from mlrsnet_hf.training.results import RESULTS

SPLIT = "test"
"""Name of the table's only split: its rows are results on test splits."""
EVAL_YAML = "eval.yaml"
FRAMEWORK = "mlrsnet-hf"
"""How eval.yaml names what computes the scores."""
_RESULTS, _MODELS, _SPACE, _REGISTRATION = "results", "models", "space", "registration"
_NAME = 96
"""Characters that the Hub takes of a repository's name."""
_TAGS = ["benchmark", "remote-sensing", "multi-label", "image-classification", "mlrsnet-hf"]

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A benchmark as repositories that are ready to be pushed."""

    repo_id: str
    """USER/NAME of the dataset of results and of the Space; the models' names begin with it."""
    title: str
    models: Mapping[str, Repository]
    """Repository -> what it holds."""
    results: Repository
    space: Repository
    registration: Repository

    @property
    def items(self) -> list[tuple[str, Repository]]:
        """What stands in the collection, in its order."""
        return [(self.repo_id, self.results), (self.repo_id, self.space), *self.models.items()]

    def moved(self, old: Path, new: Path) -> "Publication":
        """Return the same in a folder that has another name now."""

        def place(repository: Repository) -> Repository:
            return replace(repository, folder=new / repository.folder.relative_to(old))

        return replace(
            self,
            models={name: place(one) for name, one in self.models.items()},
            results=place(self.results),
            space=place(self.space),
            registration=place(self.registration),
        )


def build_publication(
    results: Results, folder: Path, repo_id: str, *, with_images: bool = False, license: str | None = None
) -> Publication:
    """Fill an empty folder with all repositories of a benchmark; the weights are linked.

    Raises:
        ConfigurationError: A result is damaged, or a name is no repository's.
        MissingExtraError: What reports need is not installed.
    """
    names = model_names(results, repo_id)
    copies = look_at(results)
    title = f"Benchmark {', '.join(results.benchmark.info().grids) or repo_id.partition('/')[2]}"
    models = {}
    with progress_bar(description="building", total=len(names), unit="model") as bar:
        for row in results.rows:
            if row.name in names:
                place = folder / _MODELS / names[row.name].partition("/")[2]
                place.mkdir(parents=True)
                models[names[row.name]] = _build_model(row, results, place, names[row.name], repo_id)
                bar.update()
    tasks = dict.fromkeys(
        entry.task_id for row in results.rows if row.state == "done" for entry in _entries(row, "", "")
    )
    plain = replace(results, rows=tuple(map(_public, results.rows)))
    return Publication(
        repo_id=repo_id,
        title=title,
        models=models,
        results=_build_results(plain, copies, _made(folder / _RESULTS), title, repo_id, names, license),
        space=_build_space(plain, copies, _made(folder / _SPACE), title, repo_id, names, with_images),
        registration=_build_registration(_made(folder / _REGISTRATION), title, tasks),
    )


def _public(row: Row) -> Row:
    """Return a row whose settings and reason name no place of this machine; variants are called by settings."""
    model = replace(row.model, training=public_value(dict(row.model.training or {})))
    job = model if row.job.kind == "train" else row.job
    return replace(row, model=model, job=job, reason=public_text(row.reason))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def model_names(results: Results, repo_id: str) -> dict[str, str]:
    """Return the repository of each trained network, by the name of its job.

    It is USER/NAME-JOB, in the characters and the length that the Hub takes; the hash of the job always stands in it.
    """
    owner, _, name = repo_id.partition("/")
    found = {}
    for row in results.rows:
        if row.job.kind == "train" and row.state == "done":
            label, _, digest = row.name.rpartition("-")
            plain = re.sub(r"[^\w.]+", "-", label, flags=re.ASCII)
            begin = re.sub(r"([-.])[-.]+", r"\1", f"{name}-{plain}")[: _NAME - len(digest) - 1].rstrip("-.")
            found[row.name] = f"{owner}/{begin}-{digest}"
            check_repo_id(found[row.name])
    return found


def _build_model(row: Row, results: Results, folder: Path, model_id: str, repo_id: str) -> Repository:
    """Fill a folder with a trained network, and with what the benchmark's jobs have found of it."""
    if not is_run(row.result):
        raise ConfigurationError(
            f"{row.result}: holds no trained network", "Bring its model back, or run the job again."
        )
    of_model = [one for one in results.rows if one.model_name == row.name and one.state == "done"]
    files = {path: source for one in of_model for path, source in published_files(one).items()}
    texts = {path: files.pop(path) for path in list(files) if path.endswith(f"/{RESULTS}")}
    entries: dict[str, EvalResultEntry] = {}
    for one in sorted(of_model, key=lambda one: one is not row):
        for entry in _entries(one, repo_id, model_id):
            entries.setdefault(entry.task_id, entry)
    made = build_model_repository(
        row.result,
        folder,
        model_id,
        evaluations=[one.evaluation_folder for one in of_model if one.job.kind == "evaluate"],
        benchmark=ModelPart(repo_id=repo_id, files=files, entries=list(entries.values())),
    )
    for path, source in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        content = public_value(json.loads(source.read_text(encoding="utf-8")))
        (folder / path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return made


def _entries(row: Row, repo_id: str, model_id: str) -> Iterator[EvalResultEntry]:
    """Yield the main scores of a job in the form of `.eval_results`; none where it measures its own split once more.

    https://huggingface.co/docs/hub/eval-results
    """
    if row.job.kind == "evaluate" and row.job.dataset == row.model.dataset:
        return
    info = row.evaluation.info if row.evaluation is not None else None
    file = f"{published_folder(row)}/{EVALUATION if info is not None else RESULTS}"
    for column, value in scores_of(row).items():
        protocol, metric = ("", column) if info is not None else column.split("_", 1)
        is_main = metric == SCENE_ACCURACY or (metric in METRICS and METRICS[metric].headline)
        if not is_main or value != value:
            continue
        protocol = protocol or (info.data.protocol if info is not None else None) or "default"
        yield EvalResultEntry(
            dataset_id=repo_id,
            task_id="_".join(for_file_name(part).lower() for part in (row.job.dataset, protocol, metric)),
            value=round(value, 6),
            source_url=f"{constants.ENDPOINT}/{model_id}/blob/main/{file}",
            source_name=Path(file).name,
            notes=_note(row, metric),
        )


def _note(row: Row, metric: str) -> str:
    split = "retrieval" if row.evaluation is None else f"the split {row.evaluation.info.data.split}"
    decisions = ["at threshold 0.5"] if metric in METRICS and METRICS[metric].takes_threshold else []
    learned = [f"trained on {row.model.dataset}"] if row.job.dataset != row.model.dataset else []
    seeds = f"split seed {row.repetition[0]}, training seed {row.repetition[1]}"
    return on_one_line("; ".join([f"{metric_title(metric)} of {split}", *decisions, *learned, seeds, "self-reported"]))


def _build_results(
    results: Results,
    copies: Sequence[Copy],
    folder: Path,
    title: str,
    repo_id: str,
    names: Mapping[str, str],
    license: str | None,
) -> Repository:
    """Fill a folder with the table of results and its card."""
    table = results_table(results, names)
    write_results_table(table, folder / TABLE)
    header = {
        "pretty_name": on_one_line(title, 200),
        "license": license,
        "task_categories": ["image-classification"],
        "tags": _TAGS,
        "configs": [{"config_name": "default", "data_files": [{"split": SPLIT, "path": TABLE}]}],
    }
    trained = [group for group in results.of_kind("train") if group.done]
    searched = [group for group in results.of_kind("retrieval") if group.done]
    metrics = [name for name in ("map", "sample_f1", SCENE_ACCURACY) if any(group.values(name) for group in trained)]
    there = {name.partition("_")[2] for group in searched for row in group.done for name in scores_of(row)}
    measures = [name for name in ("anmrr", "retrieval_map", "average_precision") if name in there]
    card = render(
        "benchmark_card.md",
        header=front_matter({name: value for name, value in header.items() if value is not None}),
        title=title,
        headline=headline(results),
        repo_id=repo_id,
        notes=notes(results, copies),
        groups=[_group_line(group, metrics) for group in trained],
        metrics=[metric_title(name) for name in metrics],
        retrievals=[line for group in searched for line in _retrieval_lines(group, measures)],
        measures=[metric_title(name) for name in measures],
        columns=[[code(name), str(kind), Markdown(text)] for name, (kind, text) in COLUMNS.items()],
        scores=Markdown(", ".join(code(name) for name in table.column_names if name not in COLUMNS)),
        split=SPLIT,
        imagery=attribution(copies),
        citation=PAPER,
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    return Repository(kind="benchmark's results", repo_type="dataset", folder=folder, owned=("data/*.parquet",))


def _group_line(group: Group, metrics: Sequence[str]) -> list[str]:
    values = [group.values(name) for name in metrics]
    means = [number(sum(one) / len(one)) if one else "" for one in values]
    return [group.variant, group.trained_on, group.protocol, f"{len(group.done)} of {len(group.rows)}", *means]


def _retrieval_lines(group: Group, measures: Sequence[str]) -> Iterator[list[str]]:
    found = [scores_of(row) for row in group.done]
    for protocol in dict.fromkeys(name.partition("_")[0] for one in found for name in one):
        means = []
        for name in measures:
            values = [one[f"{protocol}_{name}"] for one in found if f"{protocol}_{name}" in one]
            means.append(number(sum(values) / len(values)) if values else "")
        yield [group.variant, group.trained_on, protocol, f"{len(group.done)} of {len(group.rows)}", *means]


def _build_space(
    results: Results,
    copies: Sequence[Copy],
    folder: Path,
    title: str,
    repo_id: str,
    names: Mapping[str, str],
    with_images: bool,
) -> Repository:
    """Fill a folder with the report, whose jobs lead to the models' repositories, as a static Space."""
    hidden = [] if with_images else [copy.name for copy in copies if not copy.has_known_license]
    if hidden:
        logger.info("%s: license not known, so no picture goes along; --with-images sends them", ", ".join(hidden))
    copies = [replace(copy, reason=public_text(copy.reason)) for copy in copies]
    figures = _made(folder / FIGURES)
    report = _without_places(make_report(results, figures, copies, lambda name: name not in hidden))
    write_tables(report, folder / TABLES)
    page = render_page(report, lambda row: _job_page(row, repo_id, names), _hub_links(names))
    (folder / PAGE).write_text(page, encoding="utf-8")
    header = {
        "title": on_one_line(title, 200),
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "static",
        "app_file": PAGE,
        "datasets": [repo_id],
        "models": list(names.values()),
        "tags": _TAGS,
        "short_description": "Scores of networks on remote sensing images",
    }
    card = render(
        "benchmark_space.md",
        header=front_matter({name: value for name, value in header.items() if value != []}),
        title=title,
        repo_id=repo_id,
        imagery=attribution(copies),
        hidden=hidden,
    )
    (folder / CARD).write_text(card, encoding="utf-8")
    owned = (f"{TABLES}/*", f"{FIGURES}/*")
    return Repository(kind="report", repo_type="space", folder=folder, owned=owned, space_sdk="static")


def _job_page(row: Row, repo_id: str, names: Mapping[str, str]) -> str:
    """Return the address of a job's folder on the Hub; of one without a model that of the table."""
    model = names.get(row.model_name)
    if model is None:
        return repository_url(repo_id, "dataset")
    folder = f"/tree/main/{published_folder(row)}" if row.state == "done" else ""
    return repository_url(model, "model") + folder


def _hub_links(names: Mapping[str, str]) -> Callable[[Row], Mapping[str, str]]:
    """Return what gives a job's files on the Hub."""

    def links(row: Row) -> dict[str, str]:
        model = names.get(row.model_name)
        if model is None or row.state != "done":
            return {}
        place = f"{repository_url(model, 'model')}/blob/main"
        own = {"settings": f"{place}/settings.yaml"} if row.job.kind == "train" and "settings" in job_links(row) else {}
        files = {Path(path).stem: f"{place}/{path}" for path in published_files(row)}
        return {"model": repository_url(model, "model"), **own, **files}

    return links


def _without_places(report: Report) -> Report:
    """Return a report whose sentences name no place of this machine."""
    parts = [
        replace(
            part,
            gaps=[public_text(text) for text in part.gaps],
            tables=[replace(table, notes=[public_text(text) for text in table.notes]) for table in part.tables],
        )
        for part in report.parts
    ]
    return replace(report, notes=[public_text(text) for text in report.notes], parts=parts)


def _build_registration(folder: Path, title: str, tasks: Iterable[str]) -> Repository:
    """Fill a folder with eval.yaml, by which the Hub knows a benchmark and its tasks.

    https://huggingface.co/docs/hub/eval-results. The Hub checks the file when it is pushed, and may know no framework
    but those of its own list, so that it is a commit of its own.
    """
    content = {
        "name": title,
        "description": (
            "Networks for remote sensing images, with any number of labels to an image: each row is a network that was "
            "trained on a split, and its scores on the test images, which are self-reported."
        ),
        "evaluation_framework": FRAMEWORK,
        "tasks": [{"id": task, "config": "default", "split": SPLIT} for task in tasks],
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    (folder / EVAL_YAML).write_text(text, encoding="utf-8")
    return Repository(kind="benchmark's tasks", repo_type="dataset", folder=folder, owned=())
