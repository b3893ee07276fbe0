"""Tileable gray textures, made once per process and cut at random.

Each is a 512 x 512 image of mode "L" at the scale of the finished image; `cut` takes a window of it and `tint` colors
the window. The textures do not depend on a seed: they are material, like a box of paints.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.synthetic.dice import Dice

BANK_SIDE = 512
IMAGE_SIDE = 256
ROW_ANGLES = 12

_RAMP = np.linspace(0, 1, 256)[:, None]

Array = npt.NDArray[np.floating]
Color = tuple[int, int, int]


def cut(dice: Dice, name: str, turn: bool = True) -> Image.Image:
    """Cut a 256 x 256 window out of a texture, mirrored at random unless `turn` is off."""
    return _window(dice, texture(name), turn)


def cut_rows(dice: Dice, angle: float) -> Image.Image:
    """Cut a window out of the texture of furrows nearest to an angle."""
    return _window(dice, _rows(round(angle / math.pi * ROW_ANGLES) % ROW_ANGLES, dice.whole(0, 2)), turn=False)


def _window(dice: Dice, bank: Image.Image, turn: bool) -> Image.Image:
    x, y = dice.whole(0, BANK_SIDE - IMAGE_SIDE), dice.whole(0, BANK_SIDE - IMAGE_SIDE)
    window = bank.crop((x, y, x + IMAGE_SIDE, y + IMAGE_SIDE))
    if turn and dice.chance(0.5):
        window = window.transpose(Image.Transpose.ROTATE_180)
    return window


def tint(gray: Image.Image, dark: Color, light: Color) -> Image.Image:
    """Color a gray image from `dark` at 0 to `light` at 255."""
    steps = np.array(dark) + _RAMP * (np.array(light) - np.array(dark))
    # A palette is the cheapest way through Pillow from one gray channel to three colored ones.
    colored = gray.copy()
    colored.putpalette(steps.clip(0, 255).astype(np.uint8).tobytes())
    return colored.convert("RGB")


@functools.cache
def texture(name: str) -> Image.Image:
    """Return a texture by name; it is made at its first use."""
    recipe = _RECIPES[name]
    # The name seeds the texture; PCG64's stream is fixed by numpy's compatibility policy.
    return recipe(np.random.Generator(np.random.PCG64(list(name.encode()))))


def _frequencies() -> tuple[Array, Array]:
    f = np.fft.fftfreq(BANK_SIDE)
    return f[None, :], f[:, None]


def _shaped(rng: np.random.Generator, weight: Array) -> Array:
    """Return noise with the given spectrum, mean 0 and deviation 1."""
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((BANK_SIDE, BANK_SIDE))) * weight).real
    return (noise - noise.mean()) / noise.std()


def _rough(rng: np.random.Generator, power: float) -> Array:
    """Return fractal noise: the greater the power, the smoother."""
    fx, fy = _frequencies()
    return _shaped(rng, np.maximum(np.hypot(fx, fy), 1 / BANK_SIDE) ** -power)


def _band(rng: np.random.Generator, wave: float, width: float = 0.35, stretch: float = 1.0) -> Array:
    """Return noise of one wave length, stretched along x."""
    fx, fy = _frequencies()
    radius = np.hypot(fx * stretch, fy) + 1e-9
    return _shaped(rng, np.exp(-0.5 * (np.log(radius * wave) / width) ** 2))


def _image(values: Array, middle: float = 128.0, spread: float = 45.0) -> Image.Image:
    return Image.fromarray((middle + spread * values).clip(0, 255).astype(np.uint8))


def _shaded(height: Array, strength: float) -> Image.Image:
    """Return a relief lit from the upper left."""
    slope_y, slope_x = np.gradient(np.pad(height, 1, mode="wrap"))
    return _image(np.tanh(strength * np.add(slope_x, slope_y)[1:-1, 1:-1]), 128, 120)


def _plain(rng: np.random.Generator) -> Image.Image:
    return _image(_rough(rng, 1.5), spread=30)


def _grain(rng: np.random.Generator) -> Image.Image:
    return _image(_rough(rng, 0.3), spread=40)


def _light(rng: np.random.Generator) -> Image.Image:
    return _image(_rough(rng, 2.2), spread=40)


def _grass(rng: np.random.Generator) -> Image.Image:
    tufts = np.exp(0.8 * _band(rng, 4.5, 0.5)) - 1.3
    return _image(0.7 * tufts + 0.45 * _rough(rng, 1.3), spread=45)


def _soil(rng: np.random.Generator) -> Image.Image:
    pebbles = (_band(rng, 9.0) > 2.0) * -2.2
    return _image(0.8 * _band(rng, 26.0) + 0.5 * _band(rng, 11.0) + pebbles, spread=42)


def _sand(rng: np.random.Generator) -> Image.Image:
    y = np.arange(BANK_SIDE)[:, None] * 2 * math.pi / 8
    return _image(np.sin(y + 2.6 * _rough(rng, 1.9)) + 0.25 * _rough(rng, 1.0), spread=42)


def _water(rng: np.random.Generator) -> Image.Image:
    ripples = _band(rng, 5.0, stretch=3.0)
    return _image(0.45 * ripples + (ripples > 1.7) * 1.6 + 0.4 * _rough(rng, 1.8), middle=100, spread=42)


def _calm(rng: np.random.Generator) -> Image.Image:
    return _image(_rough(rng, 1.9), middle=110, spread=18)


def _canopy(rng: np.random.Generator) -> Image.Image:
    values = np.full((BANK_SIDE, BANK_SIDE), -1.0)
    reach = np.arange(-13, 14)
    dx, dy = np.meshgrid(reach, reach)
    for x, y, radius in zip(
        rng.integers(0, BANK_SIDE, 2600), rng.integers(0, BANK_SIDE, 2600), rng.uniform(5, 12, 2600), strict=True
    ):
        inside = np.hypot(dx, dy) < radius
        crown = -0.75 * (dx + dy) / radius - 0.9 * (np.hypot(dx, dy) / radius) ** 4 + rng.uniform(-0.5, 0.5)
        rows, columns = (y + dy[inside]) % BANK_SIDE, (x + dx[inside]) % BANK_SIDE
        values[rows, columns] = crown[inside]
    return _image(values + 0.3 * _rough(rng, 0.6), spread=62)


def _scrub(rng: np.random.Generator) -> Image.Image:
    clumps = 0.35 * _rough(rng, 1.6)
    return _image(np.clip((_band(rng, 12.0, 0.25) + clumps - 0.85) * 4, 0, 1), 0, 255)


def _hills(rng: np.random.Generator) -> Image.Image:
    ridges = -np.abs(_band(rng, 130.0, 0.5) + 0.25 * _rough(rng, 1.9)) + 0.12 * _rough(rng, 1.6)
    return _shaded(ridges, 11.0)


def _peaks(rng: np.random.Generator) -> Image.Image:
    x, y = np.meshgrid(np.arange(BANK_SIDE), np.arange(BANK_SIDE))
    warp = 9 * _rough(rng, 1.9)
    height = np.full((BANK_SIDE, BANK_SIDE), -1e9)
    for px, py in zip(rng.integers(0, BANK_SIDE, 34), rng.integers(0, BANK_SIDE, 34), strict=True):
        dx = (x - px + BANK_SIDE // 2) % BANK_SIDE - BANK_SIDE // 2 + warp
        dy = (y - py + BANK_SIDE // 2) % BANK_SIDE - BANK_SIDE // 2 + warp.T
        # A cone with ridges that run down from its top.
        ridges = 1 + 0.35 * np.cos(np.arctan2(dy, dx) * rng.integers(3, 6) + rng.uniform(0, 6.3))
        height = np.maximum(height, -np.hypot(dx, dy) * ridges)
    return _shaded(height, 1.1)


def _dunes(rng: np.random.Generator) -> Image.Image:
    y = np.arange(BANK_SIDE)[:, None] / 64.0
    phase = (y + 0.42 * _rough(rng, 2.1)) % 1.0
    crest = np.where(phase < 0.72, phase / 0.72, (1 - phase) / 0.28)
    slope = np.where(phase < 0.72, 0.55, -1.5)
    return _image(slope + 0.7 * crest - 0.4, spread=62)


def _marsh(rng: np.random.Generator) -> Image.Image:
    channels = 0.13 - np.abs(_band(rng, 70.0, 0.4) + 0.15 * _band(rng, 16.0))
    ponds = 0.35 * (_band(rng, 34.0, 0.3) - 1.3)
    return _image(np.tanh(12 * np.maximum(channels, ponds)), 128, 127)


def _reeds(rng: np.random.Generator) -> Image.Image:
    return _image(_band(rng, 7.0, stretch=0.28) + 0.3 * _rough(rng, 1.3), spread=50)


def _steps(rng: np.random.Generator) -> Image.Image:
    height = _rough(rng, 3.0) * 3.4 + np.arange(BANK_SIDE)[:, None] / BANK_SIDE * 12
    phase = height % 1.0
    band = np.floor(height) % 3 - 1
    return _image(0.55 * band + 0.5 * phase - 2.6 * (phase > 0.8), spread=48)


def _drift(rng: np.random.Generator) -> Image.Image:
    return _image(np.clip(3.0 * (_rough(rng, 1.55) - 0.3), -1, 1), 128, 127)


def _puffs(rng: np.random.Generator) -> Image.Image:
    return _image(np.clip(0.6 * _band(rng, 120.0, 0.5) + 0.75 * _rough(rng, 1.5), -1.6, 1.6), 128, 78)


@functools.cache
def _rows(sector: int, spacing: int) -> Image.Image:
    angle = math.pi * sector / ROW_ANGLES
    wave = 2 * math.pi / (5.0, 7.0, 9.0)[spacing]
    steps = np.arange(BANK_SIDE) * wave
    furrows = np.sin(steps[:, None] * math.cos(angle) - steps * math.sin(angle))
    unevenness = (np.asarray(texture("plain")) - 128.0) / 70
    return _image(furrows + unevenness, spread=45)


_RECIPES: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "plain": _plain,
    "grain": _grain,
    "light": _light,
    "grass": _grass,
    "soil": _soil,
    "sand": _sand,
    "water": _water,
    "calm": _calm,
    "canopy": _canopy,
    "scrub": _scrub,
    "hills": _hills,
    "peaks": _peaks,
    "dunes": _dunes,
    "marsh": _marsh,
    "reeds": _reeds,
    "steps": _steps,
    "drift": _drift,
    "puffs": _puffs,
}
