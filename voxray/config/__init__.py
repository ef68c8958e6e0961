"""Configuration: from a file and the environment to frozen settings, with every mistake explained at its place."""
