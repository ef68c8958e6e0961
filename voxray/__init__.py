"""Voxray: one JSON file in, a voice agent out."""

__version__ = "0.1.0"
