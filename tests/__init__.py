"""The tests, in folders by kind; below each, the folders of the code they test."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
