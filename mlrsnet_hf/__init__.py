"""MLRSNet in the Hugging Face ecosystem: dataset, metrics, training and retrieval of multi-label aerial scenes."""

__version__ = "0.1.0"
