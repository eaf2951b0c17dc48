"""The published systems: measured figures, gathered beside those that their sources report."""
