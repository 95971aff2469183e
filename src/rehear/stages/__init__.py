"""The five stages: thin shells that know the paths."""
