"""The nouns that stages and review share, one small module each."""
