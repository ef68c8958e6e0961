"""Scripted dialogues for Voxray: a flow in a YAML file instead of a language model."""
