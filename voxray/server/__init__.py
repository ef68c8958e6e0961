"""The HTTP and websocket server: a thin, replaceable shell around calls."""
