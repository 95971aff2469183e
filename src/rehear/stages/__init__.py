"""The stages: thin shells that know the paths."""
