"""Small transformers whose circuit was trained in edge by edge, and the scripts that train them.

`python -m mechboard.ground_truth.trained.train NAME` trains one; `behaviours` says what each must do and
through which edges; the weights lie beside, one folder per behaviour, in Hugging Face's GPT-2 format.
"""
