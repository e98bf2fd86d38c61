"""Fuzz for a given time, led by what an input reaches: ``python -m tests.fuzz --seconds 300 [--target hcl]``.

The time is shared evenly among the targets. An input that shows a mistake is kept in a temporary directory, and the
command that replays it is printed; once the mistake is mended, the input belongs into ``tests/fuzz/corpus``. Needs
atheris (https://github.com/google/atheris), which there is for Linux on x86-64.
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.mutation import mutate, random_edits
from tests.fuzz.targets import TARGETS, Target, check

_CORPUS: Final = Path(__file__).parent / "corpus"
_BY_NAME: Final = {target.name: target for target in TARGETS}

_LONGEST_INPUT: Final = 4096
_INPUT_SECONDS: Final = 20
_MEMORY_MIB: Final = 2048
_GRACE_SECONDS: Final = 120.0
"""What starting up, and reading what is known already, may take besides."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 if a mistake was found."""
    options = _parse(arguments)
    logging.getLogger("metadatadb").setLevel(logging.CRITICAL + 1)
    targets = [_BY_NAME[options.target]] if options.target else list(TARGETS)
    if options.replay is not None:
        check(targets[0], options.replay.read_bytes())
        _say(f"{options.replay} is read or refused, as it should be")
        return 0
    if options.inside is not None:
        _fuzz(targets[0], options.inside, options.seconds)
    found = Path(tempfile.mkdtemp(prefix="fuzz-"))
    seconds = max(1, options.seconds // len(targets))
    failed = [target for target in targets if not _holds(target, found, seconds)]
    if not failed:
        found.rmdir()
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads foreign bytes.")
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together (default: %(default)s)")
    parser.add_argument("--target", choices=sorted(_BY_NAME), help="only this one")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="let --target read this input once")
    parser.add_argument("--inside", type=Path, metavar="DIRECTORY", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.replay is not None and options.target is None:
        parser.error("--replay needs --target")
    return options


def _holds(target: Target, found: Path, seconds: int) -> bool:
    """Fuzz `target` in a process of its own, which the fuzzer ends; whether nothing was found."""
    command = [sys.executable, "-m", "tests.fuzz", "--target", target.name, "--seconds", str(seconds)]
    with tempfile.TemporaryDirectory() as directory:
        try:
            run = subprocess.run(
                [*command, "--inside", directory],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds + _INPUT_SECONDS + _GRACE_SECONDS,
                check=False,
            )
            output, ended = run.stdout.decode(errors="replace"), run.returncode == 0
        except subprocess.TimeoutExpired as error:
            output, ended = (error.stdout or b"").decode(errors="replace"), False
        inputs = [path for path in Path(directory).iterdir() if path.is_file()]
        kept = [path.rename(found / f"{target.name}-{path.name}") for path in inputs]
    rounds = [line for line in output.splitlines() if line.startswith("Done ")]
    _say(f"{target.name}: {rounds[-1] if ended and rounds else 'FAILED'}")
    if not ended:
        _say("\n".join(line for line in output.splitlines() if not line.startswith(("INFO:", "WARNING:", "#"))))
        for path in kept:
            _say(f"replay: python -m tests.fuzz --target {target.name} --replay {path}")
    return ended


def _fuzz(target: Target, directory: Path, seconds: int) -> None:
    """Fuzz `target` in this process, and do not return: libFuzzer ends it."""
    import atheris  # type: ignore[import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["metadatadb_core"]):
        for seed in target.seeds:
            check(target, seed)  # imports what it needs
    known = directory / "known"
    known.mkdir()
    for number, seed in enumerate(target.seeds):
        (known / f"seed-{number}").write_bytes(seed)
    for path in _CORPUS.glob(f"{target.name}/*"):
        (known / path.name).write_bytes(path.read_bytes())

    def change(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.5:
            mutated: bytes = atheris.Mutate(data, most)
            return mutated
        return mutate(data, random_edits(chance), target.words)[:most]

    atheris.Setup(
        [
            "fuzz",
            str(known),
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST_INPUT}",
            f"-timeout={_INPUT_SECONDS}",
            f"-rss_limit_mb={_MEMORY_MIB}",
            f"-artifact_prefix={directory}/",
            "-print_final_stats=1",
        ],
        lambda data: check(target, data),
        custom_mutator=change,
    )
    atheris.Fuzz()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
