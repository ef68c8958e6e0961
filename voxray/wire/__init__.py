"""HTTP and websockets for plugins: refusals, resets and timeouts become ProviderError."""
