"""The method keeps mechboard's contract: one test per check of `bench check edge-bound`."""

from mechboard.conformance import conformance_test

test_edge_bound = conformance_test("edge-bound")
