"""Pictures as SVG, for pages, notebooks and files: pure functions of what records hold."""
