"""The randomised run: services under load, random faults, and a ledger that tells what came of it.

`python -m tests.faults.random_run --seed 7 --minutes 10` starts a RabbitMQ, services and clients in
processes of their own, each behind a proxy, breaks what can be broken, and judges.

- `records`: the ledger on disk, written by all processes; `services`, `desk`: what they host.
- `stage`, `actor`: the broker and the processes; `faults`: what is done to them.
- `replay`: sends dead letters back to work, in a process that may be killed.
- `scene`: the course of a run; `history`: what the ledger says; `verdict`: what is wrong with it;
  `totals`: the figures.
"""
