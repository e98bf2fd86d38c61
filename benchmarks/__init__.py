"""How fast the library is, as ratios to what bounds it: run by ``nox -s bench``.

One module a theme, each with ``comparisons()``; `harness` measures and prints them.
"""
