"""Trained weights that ship with the package: a run's folder for each recipe."""

from pathlib import Path

FOLDER = Path(__file__).parent
