"""Scores of solutions: ROC and AUC, faithfulness, the statistics of comparisons."""
