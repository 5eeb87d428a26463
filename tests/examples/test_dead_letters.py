"""What a program does with dead letters."""

from examples.dead_letters import count_by_error, move_to_file, put_back, replay_timeouts
from tests.deadletters.broker import Broker
from tests.deadletters.notes import notes


def test_letters_are_counted_replayed_kept_and_put_back(memory_config, tmp_path):
    file = tmp_path / "letters"
    with Broker(memory_config) as broker:
        for exc_type in ("ValueError", "RpcTimeout", "ValueError"):
            broker.put("orders.dead", headers=notes(exc_type=exc_type))

        counted = count_by_error(memory_config, "orders")
        replayed = replay_timeouts(memory_config, "orders")
        kept = move_to_file(memory_config, "orders", file)
        left = broker.session.count("orders.dead")
        put = put_back(memory_config, file)

        assert counted == {"ValueError": 2, "RpcTimeout": 1}
        assert replayed == (1, {})
        assert (kept, left, put) == (2, 0, 2)
        assert broker.session.count("orders.dead") == 2
