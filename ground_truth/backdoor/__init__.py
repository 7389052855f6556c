"""Small transformers with a backdoor whose edges were declared before it was trained in, and the recipe.

`python -m mechboard.ground_truth.backdoor.train NAME --out FOLDER` trains one; `backdoors` says which edges carry the
trigger; the weights lie beside, one folder per backdoor, in Hugging Face's GPT-2 format.
"""
