"""Tasks on transformers compiled from programs."""
