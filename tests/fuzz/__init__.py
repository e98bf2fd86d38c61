"""Fuzzing of everything that reads bytes which somebody else wrote.

`targets` lists what is fuzzed, with what it may raise and what must hold of what it reads. The suite feeds each target
the corpus of past mistakes, hostile inputs of every known kind, and a few random ones. ``nox -s fuzz`` goes on for as
long as it is told to, led by which lines of the library an input reaches.
"""
