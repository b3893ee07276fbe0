"""The surface that elements draw on."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.geometry import SIDE, Point, Points, Spot, Strip, hull
from mlrsnet_hf.synthetic.layouts import Layout
from mlrsnet_hf.synthetic.site import Site
from mlrsnet_hf.synthetic.textures import Color

SHADOW: Color = (8, 10, 18)


class Canvas(Site):
    """A site in the making.

    Shapes are drawn at twice the size of the finished image and halved at the end, which smooths their edges.
    """

    def __init__(self, labels: frozenset[str], layout: Layout, dice: Dice) -> None:
        super().__init__(labels, layout, dice)
        self._draw_on(Image.new("RGB", (1, 1)))

    def start(self, ground: Image.Image) -> None:
        """Begin drawing on a finished ground of 256 x 256."""
        self._draw_on(ground.resize((SIDE, SIDE), Image.Resampling.NEAREST))

    def _draw_on(self, image: Image.Image) -> None:
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self._blend = ImageDraw.Draw(image, "RGBA")

    def fill(self, points: Sequence[Point], color: Color) -> None:
        """Fill a polygon."""
        self.draw.polygon(points, fill=color)

    def line(self, points: Sequence[Point], color: Color, width: float = 2) -> None:
        """Draw a line."""
        if width > 5 and len(points) > 2:
            # A polygon is cheaper than Pillow's round joints, and as smooth.
            self.fill(Strip(list(points), width).outline(), color)
        else:
            self.draw.line(points, fill=color, width=max(round(width), 1))

    def ring(self, points: Sequence[Point], color: Color, width: float = 2) -> None:
        """Draw the outline of a polygon."""
        closed = [*points, points[0], points[1]]
        self.draw.line(closed, fill=color, width=max(round(width), 1), joint="curve" if width > 5 else None)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """Fill a circle."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def circle(self, x: float, y: float, radius: float, color: Color, width: float = 2) -> None:
        """Draw a circle."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=round(width))

    def glaze(self, points: Sequence[Point], color: Color, alpha: int) -> None:
        """Lay a half-transparent color over a polygon."""
        self._blend.polygon(points, fill=(*color, alpha))

    def glaze_line(self, points: Sequence[Point], color: Color, alpha: int, width: float) -> None:
        """Lay a half-transparent line."""
        self._blend.line(points, fill=(*color, alpha), width=max(round(width), 1))

    def cast(self, footprint: Sequence[Point], height: float) -> None:
        """Cast the shadow of a convex thing that stands on the ground."""
        far = self.away_from_sun(footprint, height)
        # The thing itself will hide where a low shadow and its hull differ.
        self.glaze(hull([*footprint, *far]) if height > 14 else far, SHADOW, self.shade)

    def cast_flat(self, footprint: Sequence[Point], height: float) -> None:
        """Cast the shadow of a thing of any outline that hangs above the ground."""
        self.glaze(self.away_from_sun(footprint, height), SHADOW, self.shade)

    def cast_line(self, points: Sequence[Point], height: float, width: float) -> None:
        """Cast the shadow of a bar that hangs above the ground."""
        self.glaze_line(self.away_from_sun(points, height), SHADOW, self.shade, width)

    def away_from_sun(self, points: Sequence[Point], distance: float) -> Points:
        """Return the points moved to where their shadows fall."""
        dx, dy = self.sun[0] * distance, self.sun[1] * distance
        return [(x + dx, y + dy) for x, y in points]

    def cast_disc(self, x: float, y: float, radius: float, height: float) -> None:
        """Cast the shadow of a round thing."""
        self.cast(Spot(x, y, 2 * radius, 2 * radius).oval(corners=14), height)
