"""Prints the stories of some seeds: what two processes must agree on, byte for byte."""

from __future__ import annotations

import logging
import sys

from tests.simulation.history import draw, run

__all__ = ["trace"]


def trace(seeds: range, *, spooled: bool = False) -> str:
    """The stories of `seeds`, one after the other."""
    story: list[str] = []
    for seed in seeds:
        story.append(f"seed {seed}")
        failure = run(seed, *draw(seed, spooled=spooled), story)
        story.append(repr(failure and failure.error))
    return "\n".join(story)


if __name__ == "__main__":
    logging.getLogger("metadatadb").setLevel(logging.CRITICAL)
    sys.stdout.write(trace(range(int(sys.argv[1]), int(sys.argv[2])), spooled="--spool" in sys.argv))
