"""The page of this metric's Space."""

from pathlib import Path

from mlrsnet_hf.metrics.modules.page import build_page

if __name__ == "__main__":
    build_page(Path(__file__).with_name("precision_at_k.py"), {"k": [1, 2, 4]}).launch()
