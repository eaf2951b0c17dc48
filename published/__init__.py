"""The published systems: their figures, gathered and shown beside what their sources report."""
