"""Where people live: rows of houses, villas, mobile homes."""

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.elements.buildings import draw_house
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, landmark


@landmark("dense residential area", Layer.STRUCTURE, 350, 330)
def draw_dense_residential(canvas: Canvas, spot: Spot) -> None:
    """Rows of small houses back to back, each on a fenced plot."""
    roofs = [canvas.palette.roof() for _ in range(3)]
    columns, rows = int(spot.width / 56), int(spot.height / 62)
    fence = canvas.palette.pale()
    for column in range(columns + 1):
        u = 2 * column / columns - 1
        canvas.line(spot.points((u, -1), (u, 1)), fence, 2)
    for row in range(rows + 1):
        v = 2 * row / rows - 1
        canvas.line(spot.points((-1, v), (1, v)), fence, 4 if row % 2 else 2)
    for plot in spot.grid(columns, rows, fill=1):
        house = plot.inner(
            canvas.dice.between(-0.08, 0.08), canvas.dice.between(-0.15, 0.15), 45, canvas.dice.between(32, 41)
        )
        draw_house(canvas, house, canvas.dice.pick(roofs), 8)


@landmark("sparse residential area", Layer.STRUCTURE, 128, 118, (2, 3))
def draw_sparse_residential(canvas: Canvas, spot: Spot) -> None:
    """A villa of two wings on a large hedged plot, with its drive."""
    dice = canvas.dice
    roof = canvas.palette.roof()
    hedge = shaded(canvas.palette.plain(), 0.6)
    canvas.ring(spot.box(), hedge, 5)
    drive = canvas.palette.pale()
    canvas.line(spot.points((1.0, 0.75), (0.45, 0.75), (0.25, 0.3)), drive, 14)
    canvas.disc(*spot.at(0.2, 0.45), 16, drive)
    wing = spot.inner(-0.1, -0.25, spot.width * 0.62, spot.height * 0.3)
    side = spot.inner(-0.42, 0.1, spot.height * 0.62, spot.width * 0.27, turn=1.5708)
    for part in dice.shuffled((wing, side)):
        draw_house(canvas, part, roof, 12)


@landmark("mobile home", Layer.STRUCTURE, 330, 280)
def draw_mobile_homes(canvas: Canvas, spot: Spot) -> None:
    """Long narrow homes, side by side and all aslant, along lanes."""
    dice = canvas.dice
    slant = dice.pick((-0.6, -0.45, 0.45, 0.6))
    rows, columns = max(int(spot.height / 88), 2), int(spot.width / 34)
    for row in range(rows):
        v = (2 * row + 1) / rows - 1
        canvas.line(spot.points((-1, v + 1 / rows), (1, v + 1 / rows)), canvas.asphalt, 14)
        for column in range(columns):
            home = spot.inner((2 * column + 1) / columns - 1, v - 0.03, 19, 62, turn=slant)
            roof = canvas.palette.roof()
            canvas.cast(home.box(), 7)
            canvas.fill(home.box(-1, -1, 0, 1), shaded(roof, 1.25))
            canvas.fill(home.box(0, -1, 1, 1), shaded(roof, 1.0))
            canvas.fill(home.box(1, 0.2, 1.5, 0.7), shaded(roof, 0.8))
