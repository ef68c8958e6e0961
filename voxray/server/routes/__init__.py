"""Routes that the core serves itself."""
