"""What the parts agree on: methods, tasks and kinds, and what scoring returns. Nothing here knows a kind by name."""
