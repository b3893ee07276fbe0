"""What every page that the package writes is held to, in a browser: it fits, it reads, it asks for nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = color => {
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)" && color !== "transparent") return color;
    }
    return "white";
  };
  const low = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || ["SCRIPT", "TITLE", "OPTION"].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const text = light(element instanceof SVGElement ? style.fill : style.color), back = light(behind(element));
    const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    if (ratio < 4.5) low.push([element.tagName, element.className.toString(), ratio.toFixed(2)]);
  }
  return low;
}"""
"""Elements whose text has a contrast below that of WCAG 2.1 AA, 4.5, to the color behind it."""


def look_at(browser: "Browser", path: Path, width: int, scheme: str) -> int:
    """Assert of a page that nothing is cut or cannot be read, and that it is dark where dark is wanted.

    Returns:
        The number of its pictures.
    """
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url)
    )
    page.goto(path.as_uri())
    assert not faults
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        "[...document.querySelectorAll('table, td, th')].filter(one => one.offsetWidth && "
        "one.getBoundingClientRect().right > innerWidth).length"
    )
    assert cut == 0 or width > 500, "a wide table scrolls by itself, but not on a phone"
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert page.evaluate(_CONTRASTS) == []
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert max(channels) < 60 if scheme == "dark" else min(channels) > 230
    pictures = int(page.evaluate("document.images.length"))
    page.close()
    return pictures
