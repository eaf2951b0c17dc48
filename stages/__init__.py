"""The five verbs of the pipeline, each run as `python -m stages.<name>`."""
