"""Models compiled from programs: the language, the compiler, and the true edges that follow from both."""
