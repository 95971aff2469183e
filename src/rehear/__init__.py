"""Rehear: hear it again, get the same result."""

__version__ = "0.1.0"
