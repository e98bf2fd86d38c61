"""Run the themes named as arguments, or all of them; exits with 1 where a ratio is over its limit."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator

from benchmarks import harness, imports, plugins, replication, stored_form, structures

THEMES: dict[str, Callable[[], Iterator[harness.Comparison]]] = {
    "structures": structures.comparisons,
    "stored-form": stored_form.comparisons,
    "imports": imports.comparisons,
    "plugins": plugins.comparisons,
    "replication": replication.comparisons,
}


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(THEMES))
    if unknown:
        print(f"no such theme: {', '.join(unknown)}; there are {', '.join(THEMES)}", file=sys.stderr)
        return 2
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}\n")
    chosen = [theme for name, theme in THEMES.items() if not names or name in names]
    return 0 if harness.print_table(line for theme in chosen for line in theme()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
