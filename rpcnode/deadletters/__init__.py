"""Dead letters from the outside: what operators, and programs of theirs, do with dead queues."""
