"""The tests of a service with HTTP."""

from tests.example_tests import check_that_tests_pass


def test_tests_of_the_example_pass():
    check_that_tests_pass("http_testing.py")
