"""Which network is used, as settings; light to import."""

from dataclasses import dataclass

from mlrsnet_hf.configuration.settings import Count, JoinedText, Settings, Share, setting
from mlrsnet_hf.inputs.pixels.reading import bands_setting, parse_bands, value_range_setting
from mlrsnet_hf.models import PRETRAINED


@dataclass(frozen=True, kw_only=True)
class ModelChoice(Settings):
    """Which network, wherever it comes from."""

    model: str = setting(
        "resnet50",
        "Folder of a run or of a saved model, exported .onnx file, repository of the Hub, timm name, or "
        "open_clip:NAME/WEIGHTS.",
        section="Model",
    )
    weights: str = setting(
        PRETRAINED,
        "Weights for a timm name: a file, 'pretrained' (timm's own, from the Hub) or 'random'; for open_clip:NAME too.",
    )
    image_size: Count | None = setting(None, "Side in pixels of the input, for a timm name; if unset the model's own.")
    crop_pct: Share = setting(1.0, "Share of the image that the network sees, for a timm name; 1 is all of it.")
    bands: JoinedText | None = bands_setting(
        "those that the model was trained on, of a timm name red, green and blue, or gray."
    )
    value_range: JoinedText | None = value_range_setting(
        "those that the model was trained with, of a timm name 0 to 255, of images of 8 bits."
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.bands is not None:
            parse_bands(self.bands)
