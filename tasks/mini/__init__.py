"""The papers' circuit tasks in miniature, on the small GPT; their truths were measured edge by edge."""
