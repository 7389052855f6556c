"""Behaviours of the papers as text: prompts, their corruptions and what is read off the answer, for any model.

A behaviour knows words and templates, no token ids; `examples.as_pairs` meets them with a tokenizer.
"""
