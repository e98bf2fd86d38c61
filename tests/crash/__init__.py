"""Processes that are really killed, with SIGKILL and at random moments, and an account of what each was promised.

A nursery forks lives that write to one store and kills each after a while; what a life has begun, what was
acknowledged to it and what it flushed, it notes in memory that it shares with the nursery, so that this is known
after its death. In the end the store is compared with the account.
"""
