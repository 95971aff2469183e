"""Measurements of Rehear beside autrainer on the same machine, data and work.

`python -m benchmarks` runs them; see README.md here. Nothing in this file is
imported that the peer's environment lacks.
"""
