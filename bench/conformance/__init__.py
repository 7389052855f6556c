"""Does a plugin keep the contract? Checks on small problems, for `bench check` and for a third party's pytest.

    from mechboard.conformance import conformance_test
    test_my_method = conformance_test("my-method")

gives a test suite one test per check.
"""

from mechboard.conformance.methods import CheckFailed, Result, conformance_test, run_checks

__all__ = ["CheckFailed", "Result", "conformance_test", "run_checks"]
