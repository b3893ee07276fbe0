"""Layers counted from networks, against what their inventors and the paper call them."""

import pytest
import timm
import torch
from torch import nn

from mlrsnet_hf.models.depth import weighted_layers
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS
from mlrsnet_hf.paper_tables import TABLE4_NETWORKS


@pytest.mark.parametrize("name", ["VGGNet16", "ResNet50", "DenseNet121"])
def test_layers_are_those_of_table_4(name: str) -> None:
    with torch.device("meta"):  # the graph alone counts
        model = timm.create_model(PAPER_NETWORKS[name].model.partition(".")[0], num_classes=60)
    assert weighted_layers(model, PAPER_NETWORKS[name].image_size) == TABLE4_NETWORKS[name].layers


class Branches(nn.Module):
    """Two convolutions beside one, then a fully connected layer, and a product without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.short = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = (self.long(image) + self.short(image)).flatten(2)
        return self.head((found @ found.transpose(1, 2)).mean(-1))


def test_the_longest_way_counts_and_the_mode_stays() -> None:
    model = Branches().train()
    assert weighted_layers(model, 8) == 3
    assert model.training
