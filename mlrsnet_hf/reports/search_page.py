"""What a search found, as one HTML page that needs no other file."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.reports.html_page import page, thumbnail
from mlrsnet_hf.retrieval.hits import Hit, IndexedImage

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
p { margin: .2rem 0; }
.about { opacity: .75; }
.query { margin: 1rem 0; max-width: 14rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; height: 100%; }
img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.none { display: grid; place-items: center; opacity: .6; }
figcaption { padding: .5rem .7rem .7rem; font-size: .85rem; overflow-wrap: anywhere; }
.name { font-weight: 600; }
.label { display: inline-block; border: 1px solid var(--line); border-radius: 1em;
  padding: 0 .5em; margin: .15rem .1rem 0 0; }
.wanted { font-weight: 600; border-color: currentColor; }
"""


def render_search_page(
    title: str,
    about: Sequence[str],
    images: Sequence[IndexedImage],
    pictures: Mapping[str, Image.Image],
    query: Image.Image | None = None,
    wanted: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        title: What was searched for.
        about: Lines below the title: the index, its model, the filter.
        images: What was found, best first.
        pictures: By id; an image without one is shown by its text.
        query: The picture that was searched for.
        wanted: Labels to mark.
    """
    items = "\n".join(_item(rank, image, pictures.get(image.id), wanted) for rank, image in enumerate(images, start=1))
    lines = "\n".join(f'<p class="about">{html.escape(line)}</p>' for line in about)
    shown = "" if query is None else f'<figure class="query">{thumbnail(query, "the query")}</figure>'
    return page(title, [lines, shown, f"<ol>\n{items}\n</ol>"], _STYLE)


def write_page(content: str, path: Path) -> None:
    """Write a page, which has its name only when it is whole.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})", "Choose another place.") from error
    with whole_file(path) as partial:
        partial.write_text(content, encoding="utf-8")


def _item(rank: int, image: IndexedImage, picture: Image.Image | None, wanted: Sequence[str]) -> str:
    shown = '<div class="none">picture not found</div>' if picture is None else thumbnail(picture, image.id)
    labels = "".join(
        f'<span class="label{" wanted" if label in wanted else ""}">{html.escape(label)}</span>'
        for label in image.labels or ()
    )
    distance = f"<p>distance {image.distance:.4g}</p>" if isinstance(image, Hit) else ""
    scene = f"<p>{html.escape(image.scene)}</p>" if image.scene else ""
    return (
        f'<li><figure>{shown}<figcaption><p class="name">{rank}. {html.escape(image.id)}</p>'
        f"{distance}{scene}{labels}</figcaption></figure></li>"
    )
