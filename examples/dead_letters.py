"""What a program does with dead letters."""

from collections import Counter

from rpcnode.dead import DeadLetters, matching


def count_by_error(config, queue):
    """Return how many letters of a queue died of which error."""
    with DeadLetters(config) as dead:
        return Counter(letter.exc_type for letter in dead.read(queue))


def replay_timeouts(config, queue):
    """Send those back to work that died of a timeout, ten per second."""
    with DeadLetters(config) as dead:
        result = dead.replay(queue, where=matching("exc-type=*Timeout", "replayed=0"), rate=10)
    return result.replayed, dict(result.failures)


def move_to_file(config, queue, path):
    """Write the letters of a queue to a new file, and take them out of the queue."""
    with DeadLetters(config) as dead, path.open("x", encoding="utf-8") as file:
        return dead.export_to(file, queue, remove=True)


def put_back(config, path):
    """Put the letters of a file back into their dead queues."""
    with DeadLetters(config) as dead, path.open(encoding="utf-8") as file:
        return dead.import_from(file)
