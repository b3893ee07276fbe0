"""What whatever runs for long shares: device, processes, signals, logs."""

from typing import Literal

Precision = Literal["no", "bf16", "fp16"]
"""Accelerate's names for mixed precision."""
