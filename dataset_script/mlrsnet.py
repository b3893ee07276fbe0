"""MLRSNet for versions of `datasets` below 4, which run loading scripts; the work is done by the package `mlrsnet-hf`.

load_dataset("dataset_script/mlrsnet.py", "ratio20", data_dir="path/to/mlrsnet", trust_remote_code=True)

With any version, `import mlrsnet_hf` and `load_dataset("mlrsnet", "ratio20", data_dir="path/to/mlrsnet")` do the same.
"""

from mlrsnet_hf.dataset import builder


class MLRSNet(builder.MLRSNet):
    """The package's builder under the name of this script; both share one cache."""
