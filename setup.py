"""The one thing that setup.cfg cannot say: the folder metrics/ is installed inside the package.

`mlrsnet_hf.metric_path` finds the `evaluate` modules there, or in the checkout.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["mlrsnet_hf", "mlrsnet_hf.*"]), "mlrsnet_hf.evaluate_modules"],
    package_dir={"mlrsnet_hf.evaluate_modules": "metrics"},
    package_data={
        "mlrsnet_hf": ["py.typed"],
        "mlrsnet_hf.evaluate_modules": ["*.md", "*/*.py", "*/README.md", "*/requirements.txt"],
    },
)
