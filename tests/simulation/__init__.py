"""Deterministic simulation of many replicas: the real engine over a simulated store, clock and network.

One seed is one history, byte for byte. `world` decides what happens next, `process` drives a replica's rounds,
`network` loses and delays requests, `store` applies them, and `ledger` holds what must be true after each step.
``python -m tests.simulation --seeds 2000`` tries histories; ``--replay SEED`` tells one in words.
"""
