"""What the stages share: the nouns of the pipeline, one small file each."""
