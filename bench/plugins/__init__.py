"""What methods, tasks and suites are here: found by entry points and loose files, described by their source alone."""
