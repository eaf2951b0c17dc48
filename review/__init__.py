"""Reviews changes of the pipeline: `python -m review --help`."""
