"""Suites: named, versioned lists of tasks. A list never changes; a new one gets a new version."""

from mechboard.protocols import Suite

embedded = Suite(
    name="embedded",
    version=1,
    summary="Everything that runs on a laptop without a download",
    tasks=(
        "compiled-arithmetic",
        "compiled-brackets",
        "compiled-fraction",
        "compiled-induction",
        "compiled-redundant",
        "compiled-reverse",
        "trained-greater-than",
        "trained-induction",
        "trained-ioi",
    ),
)
