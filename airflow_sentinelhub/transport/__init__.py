"""How calls reach the service: two small drivers, one store of tokens and one limit on requests in flight."""
