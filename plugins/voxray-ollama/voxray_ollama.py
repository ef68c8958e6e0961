"""Ollama for Voxray: local language models."""
