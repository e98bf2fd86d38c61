"""Tries histories, and tells the first that fails: ``python -m tests.simulation --seeds 2000``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.simulation.history import STEPS, Failure, draw, run
from tests.simulation.mutations import MUTATIONS
from tests.simulation.searching import Search, Tally, search
from tests.simulation.shrinking import shrink

_BAR: Final = 30


def main() -> int:
    """Run what the command line says; 1 if a history failed."""
    arguments = _parse()
    logging.getLogger("metadatadb").setLevel(logging.CRITICAL)
    without: int | None = arguments.without
    spooled = arguments.spool or (without is not None and MUTATIONS[without - 1].spooled)
    options = Search(arguments.first, arguments.seeds, arguments.steps, arguments.jobs, without, spooled)
    if arguments.replay is not None:
        return _replay(arguments.replay, options, whole=arguments.whole)
    begun = time.perf_counter()
    tally = search(options, _progress(options.seeds))
    seconds = time.perf_counter() - begun
    if tally.failure is None:
        _say(
            f"{tally.histories} histories of {options.steps} steps held in {seconds:.0f} s; "
            f"{tally.histories / tally.core_seconds:.0f} a second of one core"
        )
        return 0
    seed = tally.failure.seed
    _say(f"seed {seed} fails: {tally.failure.error}")
    with options.mutated():
        _tell(shrink(tally.failure))
    _say(f"\nreplay it with: {_command(seed, options)}")
    return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many histories to try (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="how long each is (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="on how many cores (default: all)")
    parser.add_argument("--spool", action="store_true", help="give every process a spool, and let machines die too")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell the history of this seed, shrunk if it fails")
    parser.add_argument("--whole", action="store_true", help="tell what is replayed as it is")
    parser.add_argument(
        "--without",
        type=int,
        metavar="N",
        choices=range(1, len(MUTATIONS) + 1),
        help=f"remove safeguard N of docs/proof.md first (1 to {len(MUTATIONS)})",
    )
    return parser.parse_args()


def _progress(seeds: int) -> Callable[[Tally], None]:
    """Draws a bar where somebody looks."""
    begun = time.perf_counter()

    def show(tally: Tally) -> None:
        if sys.stderr.isatty():
            filled = tally.histories * _BAR // seeds
            rate = tally.histories / (time.perf_counter() - begun)
            end = "\n" if tally.histories == seeds or tally.failure is not None else ""
            bar = f"{'#' * filled}{'.' * (_BAR - filled)}"
            sys.stderr.write(f"\r[{bar}] {tally.histories} of {seeds} histories, {rate:.0f} a second {end}")
            sys.stderr.flush()

    return show


def _replay(seed: int, options: Search, *, whole: bool) -> int:
    profile, steps = draw(seed, options.steps, spooled=options.spooled)
    with options.mutated():
        failure = run(seed, profile, steps)
        if failure is None:
            _tell(Failure(seed, steps, profile, None))
            return 0
        _tell(failure if whole else shrink(failure))
        return 1


def _tell(failure: Failure) -> None:
    story: list[str] = []
    run(failure.seed, failure.profile, failure.steps, story)
    _say(f"seed {failure.seed}, {len(failure.steps)} steps, {failure.profile}")
    _say("\n".join(story))
    _say(f"{type(failure.error).__name__}: {failure.error}" if failure.error else "all invariants hold")


def _command(seed: int, options: Search) -> str:
    steps = "" if options.steps == STEPS else f" --steps {options.steps}"
    without = "" if options.without is None else f" --without {options.without}"
    spool = " --spool" if options.spooled else ""
    return f"python -m tests.simulation --replay {seed}{steps}{without}{spool}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
