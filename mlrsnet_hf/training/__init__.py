"""Fine-tuning of timm backbones through Accelerate."""
