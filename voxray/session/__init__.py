"""One call: turn-taking, audio flow, what was heard. Knows no vendor, no socket, no configuration file."""
