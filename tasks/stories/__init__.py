"""Tasks on stories260K, a real language model small enough for a laptop."""
