"""`mlrsnet curate start`: from a table of candidates to a curation's folder and the project of its first round."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from mlrsnet_hf.curation.config import Rules, StartConfig
from mlrsnet_hf.curation.label_studio.served_images import is_url, local_address, serve_images
from mlrsnet_hf.curation.label_studio.server import connect
from mlrsnet_hf.curation.label_studio.views import label_choices, scene_view
from mlrsnet_hf.curation.vocabulary.vocabulary import Vocabulary, folded, read_vocabulary
from mlrsnet_hf.curation.votes.candidates import categories_of, little_known, perhaps_misspelled, read_candidates
from mlrsnet_hf.curation.votes.event_log import open_log, read_log
from mlrsnet_hf.curation.votes.folder import IMAGES, LOG, SETTINGS, Curation, CurationInfo
from mlrsnet_hf.curation.votes.projects import Projects
from mlrsnet_hf.curation.votes.round import open_first_round
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import on_one_line, quoted
from mlrsnet_hf.files import kept_if_stopped, refuse_existing, whole_folder
from mlrsnet_hf.runtime.logs import get_logger

_NAMED = 5
"""Names that are told to be perhaps misspelled."""

logger = get_logger(__name__)


def start_curation(config: StartConfig, rules: Rules) -> str:
    """Create a curation and hand its first round to the annotators; return what they have to do.

    The folder is there before the project is: where the server goes away in between, `mlrsnet curate round`
    takes it up.

    Raises:
        MLRSNetError: The candidates or the vocabulary cannot be read, an image is not there, the folder exists or
            cannot be written, or the server cannot be reached.
    """
    output = config.output_dir.expanduser()
    _refuse_early(config.images, output)
    vocabulary = None if config.vocabulary is None else read_vocabulary(config.vocabulary)
    candidates = read_candidates(config.labels, config.task, vocabulary)
    categories = categories_of(candidates, vocabulary, config.task)
    # What the page cannot show is told before anything is written.
    scene_view(categories) if config.task == "scene" else label_choices(categories)
    for name, other in list(perhaps_misspelled(candidates, vocabulary, config.task).items())[:_NAMED]:
        logger.warning("%s: %s and %s are two choices: is one misspelled?", config.labels, quoted(name), quoted(other))
    images = list(dict.fromkeys(candidate.image for candidate in candidates))
    info = CurationInfo(
        name=on_one_line(output.absolute().name, 20).strip() or "curation",
        id=secrets.token_hex(4),
        task=config.task,
        images=config.images if is_url(config.images) else str(Path(config.images).expanduser().absolute()),
        categories=categories,
        first={} if config.task == "scene" or vocabulary is None else _first(vocabulary),
        rules=asdict(rules),
    )
    curation = Curation(output, info)
    server = connect()
    people = len(server.people())
    if people < rules.limit:
        logger.warning(
            "%s knows %s, and an image may need the votes of %s: invite more, or give a lower --limit",
            server.url,
            "1 person" if people == 1 else f"{people} people",
            rules.limit,
        )
    if is_url(config.images):
        told = next((one.image for one in candidates if folded(one.category) in folded(one.image)), None)
        if config.task == "scene" and told is not None:
            logger.warning(
                "the browsers of annotators are sent addresses such as %s, which tell the category to who looks for it",
                quoted(f"{config.images.rstrip('/')}/{told}"),
            )
    if thin := little_known(candidates):
        logger.warning(
            "%s of %s categories, such as %s, have fewer than five good or bad images of known truth: what votes on "
            "them are worth is taken from the others, which is wrong where they are harder",
            len(thin),
            len({candidate.category for candidate in candidates}),
            quoted(thin[0]),
        )
    with _leaving_a_curation(output):
        with whole_folder(output, durable=True) as folder:
            curation.write(folder)
            with open_log(folder / LOG) as log:
                log.append(candidates)
            # What later commands would refuse, such as a name of very many characters, is refused before anybody votes.
            Curation.open(folder)
            read_log(folder / LOG)
            serve_images(info.images, images, folder / IMAGES)
        with open_log(curation.log) as log:
            told = open_first_round(curation, log, Projects(curation, server))
    known = len({candidate.image for candidate in candidates if candidate.truth is not None})
    return f"{output}: {len(images):,} images, of which {known:,} are of known truth\n{told}"


def _refuse_early(images: str, output: Path) -> None:
    """Refuse places that cannot be used, before anything is read or asked."""
    if (output / SETTINGS).is_file():
        raise ConfigurationError(
            f"{output}: a curation is there already",
            f"Go on with it by mlrsnet curate round {output}, or choose another folder.",
        )
    refuse_existing(output)
    if is_url(images):
        return
    if not Path(images).expanduser().is_dir():
        raise ConfigurationError(
            f"{images}: there is no such folder", "Give the folder that the images' names are relative to."
        )
    local_address(output / IMAGES)


@contextmanager
def _leaving_a_curation(folder: Path) -> Iterator[None]:
    """Where the block ends early and the curation is there already, say that it is gone on with."""

    def kept() -> str | None:
        return f"Go on with mlrsnet curate round {folder}." if (folder / SETTINGS).is_file() else None

    try:
        with kept_if_stopped(kept):
            yield
    except MLRSNetError as error:
        if (told := kept()) is None:
            raise
        raise type(error)(error.found, f"{error.remedy} The curation is there: {told[0].lower()}{told[1:]}") from error


def _first(vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    return {scene: tuple(found.labels) for scene, found in vocabulary.scenes.items()}
