"""Removing toxicity from GPT-2. The texts and the classifier are assets: the package holds none of them, and shows none."""
