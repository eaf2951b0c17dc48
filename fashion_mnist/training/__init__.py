"""What a training step and an epoch are made of."""
