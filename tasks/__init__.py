"""One file or folder per task: model, prompts, metric, truth, and how a solution is scored."""

if __name__ != "mechboard.tasks":
    raise ImportError("This folder is the package `mechboard.tasks`; install mechboard and import that.")
