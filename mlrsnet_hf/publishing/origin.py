"""Where a model's weights came from before training, and their license by the Hub's name for it."""

from dataclasses import dataclass
from typing import Any

from mlrsnet_hf.escaping import markdown_code
from mlrsnet_hf.models import HUB, PRETRAINED, RANDOM

UNKNOWN_LICENSE = "unknown"
"""What the Hub calls a license that is not known."""
_OWN_LICENSE = "apache-2.0"
"""Weights that began with nothing are this software's product."""

# https://huggingface.co/docs/hub/repositories-licenses
_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openmdw-1.1 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community
gemma unknown other
"""
_HUB_LICENSES = frozenset(_LICENSES.split())


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of the weights that training began with."""

    words: str
    """As in "fine-tuned from ..."; empty for random weights. What stands between ` is a name."""
    license: str = UNKNOWN_LICENSE
    repository: str | None = None
    """On the Hub."""

    @property
    def markdown(self) -> str:
        """The words for a card, names as code."""
        before, mark, rest = self.words.partition("`")
        return f"{before}{markdown_code(rest.removesuffix('`'))}" if mark else self.words


def find_origin(name: str, weights: str) -> Origin:
    """Return what a model's name and weights, as the settings had them, tell of where the weights came from."""
    if weights == RANDOM:
        return Origin("", _OWN_LICENSE)
    source = name if weights == PRETRAINED else weights
    if source.startswith(HUB):
        repository = source.removeprefix(HUB).partition("@")[0]
        owner, _, known = repository.partition("/")
        license = _timm_license(known) if owner == "timm" else UNKNOWN_LICENSE
        return Origin(f"`{repository}`", license, repository)
    if weights != PRETRAINED:
        return Origin("weights that were given as a file or folder")
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return Origin(f"timm's weights of `{name}`", (config and config.license) or UNKNOWN_LICENSE)
    return Origin(f"`{config.hf_hub_id}`", config.license or UNKNOWN_LICENSE, config.hf_hub_id)


def _timm_license(name: str) -> str:
    import timm

    config = timm.get_pretrained_cfg(name) if timm.is_model(name.partition(".")[0]) else None
    return (config and config.license) or UNKNOWN_LICENSE


def license_fields(license: str, origin: Origin) -> dict[str, Any]:
    """Return the card's fields for a license; the Hub refuses names that are not on its list, but as a name of others.

    Args:
        license: The Hub's name for it, or another.
        origin: Its repository holds the text.
    """
    if license.lower() in _HUB_LICENSES:
        return {"license": license.lower()}
    link = {"license_link": f"https://huggingface.co/{origin.repository}"} if origin.repository else {}
    return {"license": "other", "license_name": license, **link}
