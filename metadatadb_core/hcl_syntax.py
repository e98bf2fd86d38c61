"""A syntax error of HCL in plain words, with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from metadatadb_core.errors import ConfigProblem
from metadatadb_core.wording import is_secret

__all__ = ["explain"]

_WORDS: Final = {
    "$END": "the end of the file",
    "COMMA": "','",
    "COLON": "':'",
    "EQ": "'='",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "RPAR": "')'",
    "RSQB": "']'",
    "NL_OR_COMMENT": "a new line",
}

_VALUE: Final = "a value: a string in double quotes, a number, true, false, a list or an object"

_BARE_DURATION = re.compile(r"=\s*([0-9][0-9.]*(?:ns|us|ms|s|m|h)[0-9a-z.]*)")


def explain(error: UnexpectedInput, text: str, file: str | None) -> ConfigProblem:
    """What lark found, in the words of those who write HCL.

    Nothing of the text but the one character or name at fault is repeated: what stands there may be a secret.
    """
    lines = text.split("\n")
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    line, column = error.line, error.column
    if bare := _bare_duration(lines, line):
        line, column = bare
        return ConfigProblem("a duration stands in quotes", file, line, column, expected='a string such as "30s"')
    expected = _expected(error)
    rest = lines[line - 1][column - 1 :]
    if stripped := rest.lstrip(" \t"):
        column += len(rest) - len(stripped)
        rest = stripped
    if "STRING_CHARS" in expected:
        line, column = _open_string(lines, line) or (line, column)
        message, wanted = "a string is not closed", "'\"' at its end"
    elif at_end:
        message, wanted = "the file ends too early", _in_words(expected)
    elif rest.startswith("'"):
        message, wanted = "a string stands in double quotes, not in single ones", 'a string such as "text"'
    elif rest.startswith("<<"):
        message, wanted = "a heredoc is not closed", "its marker, alone on a line, followed by a new line"
    elif rest.startswith("/*"):
        message, wanted = "a comment is not closed", "'*/'"
    else:
        found = "text" if is_secret(lines[line - 1]) else _first(rest)
        message, wanted = f"unexpected {found}", _in_words(expected)
    return ConfigProblem(message, file, line, column, expected=wanted)


def _bare_duration(lines: list[str], line: int) -> tuple[int, int] | None:
    # ``lock-ttl = 30s`` reads as the number 30 and then the name s: the error comes one token, and often one line,
    # after the mistake.
    for number in (line, line - 1):
        if 1 <= number <= len(lines) and (match := _BARE_DURATION.search(lines[number - 1])):
            return number, match.start(1) + 1
    return None


def _open_string(lines: list[str], last: int) -> tuple[int, int] | None:
    # The grammar lets a string run on over lines, up to the quote that opens the next one: the mistake is where the
    # first line with an odd quote is.
    for number, line in enumerate(lines[:last], 1):
        bare = re.sub(r"\\.", "  ", line)
        if bare.count('"') % 2:
            return number, bare.rindex('"') + 1
    return None


def _expected(error: UnexpectedInput) -> Collection[str]:
    if isinstance(error, UnexpectedToken):
        return error.accepts or error.expected
    return error.allowed if isinstance(error, UnexpectedCharacters) else ()


def _first(rest: str) -> str:
    match = re.match(r"[A-Za-z_][A-Za-z0-9_-]*|.", rest)
    return repr(match[0]) if match else "end of line"


def _in_words(expected: Iterable[str]) -> str:
    names = set(expected)
    if "INT_LITERAL" in names:
        return _VALUE
    words = [_WORDS[name] for name in sorted(names) if name in _WORDS]
    if "NAME" in names:
        words.insert(0, "a name")
    # A name may be followed by labels, so '=' and '{' are all that is worth saying there.
    if {"EQ", "LBRACE"} <= names:
        words = ["'=' and a value", "'{'"]
    return " or ".join(words) or "something else"
