"""Suites: named, versioned lists of tasks. A list never changes; a new one gets a new version."""

from mechboard.protocols import Suite

embedded = Suite(
    name="embedded",
    version=3,
    summary="Everything that runs on a laptop without a download; compiled programs are unit tests and stand apart",
    kind="circuit",
    tasks=(
        "agreement-across-pp-mini",
        "agreement-across-rc-mini",
        "agreement-simple-mini",
        "agreement-within-rc-mini",
        "docstring-mini",
        "greater-than-mini",
        "ioi-mini",
        "trained-greater-than",
        "trained-induction",
        "trained-ioi",
    ),
    apart=(
        "compiled-arithmetic",
        "compiled-brackets",
        "compiled-fraction",
        "compiled-induction",
        "compiled-redundant",
        "compiled-reverse",
    ),
)

removal = Suite(
    name="removal",
    version=1,
    summary="Behaviours to cut out of models that ship with the package or are trained in seconds",
    kind="removal",
    tasks=("backdoor-disjoint", "backdoor-entangled", "digits", "rude-mini"),
)

features = Suite(
    name="features",
    version=1,
    summary="Behaviours of the small model, explained by the features of dictionaries that ship with it",
    kind="features",
    tasks=(
        "agreement-across-pp-features-mini",
        "agreement-across-rc-features-mini",
        "agreement-simple-features-mini",
        "agreement-within-rc-features-mini",
        "docstring-features-mini",
        "gender-features-mini",
        "greater-than-features-mini",
        "ioi-features-mini",
        "register-features-mini",
    ),
)
