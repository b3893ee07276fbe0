"""Fine-tuning of timm backbones through Accelerate."""

from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import modern, paper
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.saved_model import SavedModel, load_model
from mlrsnet_hf.training.trainer import train

__all__ = ["SavedModel", "TrainingConfig", "TrainingResult", "load_model", "modern", "paper", "train"]
