"""Anthropic for Voxray: Claude language models."""
