"""The tests in the examples."""

from tests.example_tests import check_that_tests_pass


def test_tests_of_the_example_pass(rabbit_uri, rabbit_api_uri):
    broker = [f"--amqp-uri={rabbit_uri}", f"--rabbit-api-uri={rabbit_api_uri}"]

    check_that_tests_pass("testing.py", *broker)
