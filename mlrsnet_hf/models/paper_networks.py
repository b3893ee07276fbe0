"""The eight networks of the paper, and what stands for them in timm.

Qi et al. (2020), section 3.1 and Table 4: Keras' networks with the ImageNet weights of
github.com/fchollet/deep-learning-models. timm has the same architectures, up to details such as padding, with other
weights of the same data set: those of torchvision (`tv_in1k`), for Inception v3 those of TensorFlow. Their scores need
not be the paper's.

The paper gives no input size. Here it is the size that Keras builds each network for by default, which is also the one
that its weights were trained at: 299 pixels for Inception v3, 224 for the others.
"""

from dataclasses import dataclass

from mlrsnet_hf.errors import UnknownNameError, name_alternatives


@dataclass(frozen=True, slots=True)
class PaperNetwork:
    """timm's counterpart of one of the paper's networks."""

    model: str
    """timm's name, with the tag of the weights."""
    image_size: int = 224
    """Side of the square that the network sees, in pixels."""


PAPER_NETWORKS = {
    "InceptionV3": PaperNetwork("inception_v3.tf_in1k", image_size=299),
    "VGGNet16": PaperNetwork("vgg16.tv_in1k"),
    "VGGNet19": PaperNetwork("vgg19.tv_in1k"),
    "ResNet50": PaperNetwork("resnet50.tv_in1k"),
    "ResNet101": PaperNetwork("resnet101.tv_in1k"),
    "DenseNet121": PaperNetwork("densenet121.tv_in1k"),
    "DenseNet169": PaperNetwork("densenet169.tv_in1k"),
    "DenseNet201": PaperNetwork("densenet201.tv_in1k"),
}
"""Networks by the name that Tables 4, 6 and 7 give it."""


def find_paper_network(name: str) -> PaperNetwork:
    """Return the network that the paper calls so.

    Raises:
        UnknownNameError: The paper has none of this name.
    """
    if name not in PAPER_NETWORKS:
        raise UnknownNameError(f"the paper has no network {name!r}", name_alternatives(name, PAPER_NETWORKS))
    return PAPER_NETWORKS[name]


def paper_name(model: str) -> str | None:
    """Return what the paper calls a timm model, whatever its weights; None if it is none of the paper's.

    Examples:
        >>> paper_name("vgg16"), paper_name("resnet50.a1_in1k"), paper_name("resnet18")
        ('VGGNet16', 'ResNet50', None)
    """
    architecture = model.partition(".")[0]
    names = {network.model.partition(".")[0]: name for name, network in PAPER_NETWORKS.items()}
    return names.get(architecture)
