"""Which features a behaviour rests on: the small GPT with its dictionaries, and the models and dictionaries of papers."""
