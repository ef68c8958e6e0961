"""The demo: a hotel's desk that answers calls without a key and without a network, and a page to talk to it."""
