"""One readable file per method: what it estimates, the formula, the source, the cost, the limits."""

if __name__ != "mechboard.methods":
    raise ImportError("This folder is the package `mechboard.methods`; install mechboard and import that.")
