"""timm networks: how they are built, their weights and preprocessing, and how they are saved."""

PRETRAINED = "pretrained"
"""Weights that timm has for a network, from the Hub."""
RANDOM = "random"
"""New weights."""

HUB = "hf-hub:"
"""How timm writes a model whose config.json is on the Hub."""
FOLDER = "local-dir:"
"""How timm writes a model whose config.json is in a folder."""
OPEN_CLIP = "open_clip:"
"""Before what names a model of open_clip, which has a tower for images and one for text."""
