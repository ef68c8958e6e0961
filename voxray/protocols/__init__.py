"""What others implement: Protocols without implementation, grouped by kind."""
