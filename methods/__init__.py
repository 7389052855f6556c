"""One readable file per method: what it estimates, the formula, the source, the cost, the limits."""
