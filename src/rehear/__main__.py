"""``python -m rehear``."""

from rehear.cli import script

script()
