"""Tasks on transformers whose circuit was trained in, edge by edge."""
