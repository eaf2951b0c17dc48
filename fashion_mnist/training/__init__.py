"""What a training consists of: batches, augmentation, optimizer, loss, checkpoint and the like."""
