"""Sound as bytes: formats, conversion, levels, files."""
