"""Git, DVC and clones: what review and retraining both need."""
