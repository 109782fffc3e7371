"""LMs on the network: two dialects of HTTP, and the client that limits, sends and retries."""
