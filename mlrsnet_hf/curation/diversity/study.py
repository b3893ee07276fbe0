"""`mlrsnet curate diversity --study`: observers pick the most similar pair in Label Studio (2.2.3 of Qi et al. 2020).

A folder holds the study: which pair is of which set, which the server never learns, the pictures that it serves, and
all answers that were read so far, so that none is lost with the server, and none counts twice.
"""

import dataclasses
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlrsnet_hf.configuration.json_file import MOST_BYTES_KEPT, Name, read_json
from mlrsnet_hf.configuration.settings import Count, changed_settings
from mlrsnet_hf.curation.config import DiversityConfig, Side
from mlrsnet_hf.curation.diversity.measure import common_scenes, set_names, summary, write_results
from mlrsnet_hf.curation.diversity.relative import Choice, draw_trial, relative_diversity
from mlrsnet_hf.curation.diversity.trial_pictures import PictureSet, common_side, picture_name, write_picture
from mlrsnet_hf.curation.label_studio.kept_answers import (
    KeptAnswer,
    keep_answers,
    lacking,
    new_title,
    read_kept,
    write_json,
)
from mlrsnet_hf.curation.label_studio.served_images import local_address
from mlrsnet_hf.curation.label_studio.server import connect
from mlrsnet_hf.curation.label_studio.tasks import Annotation, Task
from mlrsnet_hf.curation.label_studio.views import CHOICES, IMAGE, read_trial, trial_choices, trial_view
from mlrsnet_hf.curation.vocabulary.vocabulary import Merges, read_merges
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import kept_if_stopped, only_writer
from mlrsnet_hf.runtime.logs import progress_bar

STUDY, ANSWERS, PICTURES = "study.json", "answers.json", "pictures"
"""In the folder."""
_REMEDY = "Restore it from a copy, or begin a study in another folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """Two images of a set."""

    set: Name
    first: Name
    second: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Pairs that are shown together, in the order of the page."""

    key: Name
    """What the server calls it."""
    category: Name
    pairs: tuple[ShownPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What was drawn, and how."""

    title: Name
    """Of the project."""
    sets: Mapping[Name, str]
    """Set -> its folder."""
    side: Side
    """Pixels of the pictures' sides."""
    trials_per_category: Count
    pairs: Count
    observers: Count
    seed: int
    imagery: str
    """Whose pictures they are, as the project says; empty where nothing is known."""
    images: Mapping[Name, Mapping[Name, Count]]
    """Category -> set -> how many images it was drawn from."""
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(KeptAnswer):
    """The pair that an observer picked in a trial."""

    pair: int


def run_study(config: DiversityConfig) -> str:
    """Draw the study that a folder is to hold, or take up that which it holds; fill its project, and read the answers.

    Whatever a call that was killed has left undone the next one does.

    Returns:
        How far it is, and what was found.

    Raises:
        MLRSNetError: The sets cannot be read or have no scene in common, the folder holds something else, the server
            does not do its part, or another process is at it.
    """
    assert config.study is not None
    folder = config.study.expanduser().absolute()
    local_address(folder)  # refuses one that the server could not serve

    def kept() -> str | None:
        told = f"What is done is kept in {folder}; give the same command again to go on."
        return told if (folder / STUDY).exists() else None

    try:
        with only_writer(folder), kept_if_stopped(kept):
            study = _taken_up(config, folder)
            server = connect()
            if study is None:
                study = _draw(config, folder)
            _write_pictures(study, folder)
            tasks = _tasks(study, folder)
            project = server.fill_project(
                study.title,
                trial_view(study.pairs * len(study.sets)),
                lacking(tasks, read_kept(folder / ANSWERS, Answer, _REMEDY)),
                votes=study.observers,
                description=f"Which of the pairs is the most similar? {study.imagery}".strip(),
                folder=folder / PICTURES,
                others=[task.key for task in tasks],
            )
            answers = keep_trial_answers(study, folder / ANSWERS, server.annotations(project))
            return _told(study, folder, answers, server.project_url(project))
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be read or written ({error.strerror or error})", "Choose another folder or disk."
        ) from error


def keep_trial_answers(study: Study, path: Path, annotations: Iterable[Annotation]) -> list[Answer]:
    """Return all answers that count, those that a file keeps from earlier calls too, and keep them there.

    Args:
        study: What was drawn.
        path: The file, which need not be there yet.
        annotations: All that the server has.

    Raises:
        ConfigurationError: The file holds something else, or cannot be read or written.
    """
    kept = read_kept(path, Answer, _REMEDY)
    pairs = {trial.key: len(trial.pairs) for trial in study.trials}
    for answer in kept:
        if answer.pair not in range(pairs.get(answer.key, 0)):
            raise ConfigurationError(f"{path}: there is no pair {answer.pair} in trial {quoted(answer.key)}", _REMEDY)

    def read(one: Annotation, annotator: str) -> Answer:
        pair = read_trial(one.result, pairs[one.key], f"annotation {one.id}")
        return Answer(key=one.key, annotator=annotator, annotation=one.name, changed=one.changed, pair=pair)

    return keep_answers(path, kept, annotations, pairs, read)


def _taken_up(config: DiversityConfig, folder: Path) -> Study | None:
    """Return the study that a folder holds, if it holds one that the settings may mean; None of one to be made.

    Raises:
        ConfigurationError: It holds something else, or another study than is meant.
    """
    path = folder / STUDY
    if not path.exists():
        if len(config.sets) < 2:
            raise ConfigurationError(f"{folder}: holds no study yet", "Give the sets to compare, two or more.")
        trial_view(config.pairs * len(config.sets))  # refuses more pairs than a page shows
        if folder.exists() and (not folder.is_dir() or any(one.name[0] != "." for one in folder.iterdir())):
            raise ConfigurationError(f"{folder}: exists, and holds no study", "Choose another folder.")
        return None
    study = read_study(path)
    drawn = {
        "trials": study.trials_per_category,
        "pairs": study.pairs,
        "observers": study.observers,
        "seed": study.seed,
        "side": study.side,
    }
    for name in sorted(changed_settings(config) & drawn.keys()):
        if getattr(config, name) != drawn[name]:
            raise ConfigurationError(
                f"{folder}: the study was drawn with {name}={drawn[name]}", "Leave it out, or choose another folder."
            )
    given = [str(source.expanduser().absolute()) for source in config.sets]
    if given and given != [*study.sets.values()]:
        raise ConfigurationError(
            f"{folder}: the study is of other sets: {', '.join(study.sets.values())}",
            "Leave them out, or choose another folder.",
        )
    return study


def read_study(path: Path) -> Study:
    """Return the study that a file keeps.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    study: Study = read_json(path, Study, _REMEDY, most=MOST_BYTES_KEPT)
    keys = set()
    for trial in study.trials:
        sets = {pair.set for pair in trial.pairs}
        if sets != study.sets.keys() or study.images.get(trial.category, {}).keys() != sets or trial.key in keys:
            raise ConfigurationError(f"{path}: trial {quoted(trial.key)} is none of all sets of the study", _REMEDY)
        keys.add(trial.key)
    return study


def choices_of(study: Study, answers: Iterable[Answer]) -> list[Choice]:
    """Return the sets that observers chose; each answer is of a trial of the study."""
    trials = {trial.key: trial for trial in study.trials}
    return [
        Choice(trials[answer.key].category, answer.key, answer.annotator, trials[answer.key].pairs[answer.pair].set)
        for answer in answers
    ]


def _draw(config: DiversityConfig, folder: Path) -> Study:
    """Draw the trials and write down which pair is of which set, before anything else is made of it."""
    names = set_names(config.sets)
    sets = {name: PictureSet(source) for name, source in zip(names, config.sets, strict=True)}
    counts = {name: {scene: len(images) for scene, images in one.scenes.items()} for name, one in sets.items()}
    merges = Merges() if config.merges is None else read_merges(config.merges)
    images = {
        category: {
            name: [image for scene in scenes for image in sets[name].scenes[scene]] for name, scenes in of.items()
        }
        for category, of in common_scenes(counts, merges).items()
    }
    trials = []
    for number, (category, of_sets) in enumerate(images.items()):
        generator = np.random.default_rng((config.seed + number) % 2**32)
        for _ in range(config.trials):
            drawn = draw_trial({name: len(found) for name, found in of_sets.items()}, generator, config.pairs)
            pairs = tuple(
                ShownPair(set=pair.set, first=of_sets[pair.set][pair.first], second=of_sets[pair.set][pair.second])
                for pair in drawn
            )
            trials.append(Trial(key=secrets.token_hex(8), category=category, pairs=pairs))
    shown = {one for trial in trials for one in _images_of(trial)}
    study = Study(
        title=new_title(folder),
        sets={name: str(source.expanduser().absolute()) for name, source in zip(names, config.sets, strict=True)},
        side=config.side or common_side(sets, shown),
        trials_per_category=config.trials,
        pairs=config.pairs,
        observers=config.observers,
        seed=config.seed,
        imagery=" ".join(sorted({one.attribution for one in sets.values()} - {""})),
        images={category: {name: len(found) for name, found in of.items()} for category, of in images.items()},
        trials=tuple(trials),
    )
    folder.mkdir(exist_ok=True)
    write_json(folder / STUDY, dataclasses.asdict(study))
    return study


def _images_of(trial: Trial) -> list[tuple[str, str]]:
    """Return set and id of each image of a trial."""
    return [(pair.set, image) for pair in trial.pairs for image in (pair.first, pair.second)]


def _write_pictures(study: Study, folder: Path) -> None:
    """Write the pictures that are not there yet."""
    pictures = folder / PICTURES
    pictures.mkdir(exist_ok=True)
    wanted = sorted({one for trial in study.trials for one in _images_of(trial)})
    paths = {one: pictures / picture_name(study.title, *one) for one in wanted}
    missing = [one for one in wanted if not paths[one].exists() or not paths[one].stat().st_size]
    if not missing:
        return
    sets = {name: PictureSet(Path(source)) for name, source in study.sets.items()}
    for name, image in progress_bar(missing, "copying pictures", unit="picture"):
        write_picture(sets, name, image, study.side, paths[name, image])


def _tasks(study: Study, folder: Path) -> list[Task]:
    def address(pair: ShownPair, image: str) -> str:
        return local_address(folder / PICTURES / picture_name(study.title, pair.set, image))

    tasks = []
    for trial in study.trials:
        pairs = [(address(pair, pair.first), address(pair, pair.second)) for pair in trial.pairs]
        data = {CHOICES: trial_choices(pairs), IMAGE: pairs[0][0]}
        tasks.append(Task(key=trial.key, data=data, votes=study.observers))
    return tasks


def _told(study: Study, folder: Path, answers: Sequence[Answer], url: str) -> str:
    """Write what the answers say, and return how far the study is."""
    wanted = len(study.trials) * study.observers
    people = len({answer.annotator for answer in answers})
    so_far = f"{len(answers):,} of {wanted:,} answers, by {people} observer{'s' if people != 1 else ''}"
    open_at = f"{url} ({study.title})"
    if not answers:
        return (
            f"{so_far}: {len(study.trials):,} trials wait at {open_at}\n"
            f"then run mlrsnet curate diversity --study {folder}"
        )
    result = relative_diversity(choices_of(study, answers), [*study.sets], seed=study.seed)
    write_results(folder, result, study.images)
    if len(answers) < wanted:
        so_far += f"; more are given at {open_at}"
    return summary(result, so_far, folder)
