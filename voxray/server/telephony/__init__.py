"""Calls from telephone carriers: webhooks, media sockets and REST requests, the same for all of them."""
