# Each target makes the virtual environment that it needs. Arguments: make test ARGS="-k rpc"

export SKU ?= plum
ARGS ?=
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help run test test-stock test-all check bench bench-quick chaos docs clean
.DELETE_ON_ERROR:

help:
	@echo "make run SKU=plum  place an order with the example services, in this process"
	@echo "make test          run all tests (they find or start a RabbitMQ)"
	@echo "make test-stock    run those of messaging with py-amqp's codec"
	@echo "make test-all      run them on CPython 3.11, 3.12 and 3.13"
	@echo "make check         style, types, documentation"
	@echo "make docs          build the documentation in docs/_build/html"
	@echo "make bench-quick   measure beside a few peers, in three minutes"
	@echo "make bench         measure everything beside all peers, in half an hour"
	@echo "make chaos         break everything at random, for a minute or as ARGS say"
	@echo "make clean         remove what the others made"

run: .venv/.run
	@$(BIN)/python -m examples.tour "$$SKU"

test: .venv/.dev
	@$(BIN)/python -m tests.provide_rabbitmq $(BIN)/python -m pytest $(ARGS)

# What messages pass through, once more with py-amqp's codec: see AMQP_FAST_PATH.
STOCK_TESTS := $(addprefix tests/amqp/test_,connection.py consumer.py fastpath.py publisher.py) \
	$(addprefix tests/extensions/test_,events.py messaging.py rpc.py) tests/rabbitmq

test-stock: .venv/.dev
	@RPCNODE_TEST_FAST_PATH=0 $(BIN)/python -m tests.provide_rabbitmq \
		$(BIN)/python -m pytest -k "not embedded" $(STOCK_TESTS) $(ARGS)

test-all:
	@.ci/test-all $(ARGS)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict rpcnode
	@if [ -e docs/conf.py ]; then $(MAKE) --no-print-directory docs; fi

docs: .venv/.dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: .venv/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: .venv/.dev
	@$(BIN)/python -m benchmarks --quick $(ARGS)

chaos: .venv/.dev
	@$(BIN)/python -m tests.faults.random_run $(ARGS)

clean:
	rm -rf .venv .venv-* benchmarks/.venv-* benchmarks/results build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A virtual environment, and the marks of what was installed into it: .run for the package alone,
# .dev with everything that tests and checks need.
.venv/.made:
	@echo "making .venv"
	@python=$$(.ci/find-python) && "$$python" -m venv --clear .venv
	@touch $@

.venv-%/.made:
	@echo "making .venv-$*"
	@python=$$(.ci/find-python $*) && "$$python" -m venv --clear .venv-$*
	@touch $@

%/.run: %/.made setup.py
	@echo "installing rpcnode"
	@$*/bin/python -m pip install -qq --editable .
	@touch $@

%/.dev: %/.made setup.py
	@echo "installing rpcnode and its tools"
	@$*/bin/python -m pip install -qq --editable '.[dev]'
	@touch $@ $*/.run

.PRECIOUS: .venv-%/.made %/.run %/.dev
