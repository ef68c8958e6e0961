"""Groq for Voxray."""
