"""The nouns that the stages share, one small module each."""
