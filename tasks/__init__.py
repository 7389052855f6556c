"""One file or folder per task: model, prompts, metric, truth, and how a solution is scored."""
