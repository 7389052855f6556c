"""The task keeps mechboard's contract: one test per check of `bench check plural-subject`."""

from mechboard.conformance import task_conformance_test

test_plural_subject = task_conformance_test("plural-subject")
