"""The value of one HCL attribute.

Only values are allowed: HCL here reads no file, calls no function and computes nothing. Strings keep their
references to variables, in the one form that `metadatadb_core.variables` expands for every kind of configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from lark import Token, Tree

from metadatadb_core.errors import ConfigProblem
from metadatadb_core.keys import MAX_DEPTH
from metadatadb_core.settings import Position
from metadatadb_core.variables import VARIABLE_FORM

__all__ = ["ValueReader", "place", "subtrees"]

_LITERALS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_CHARACTERS = re.compile(r"\\(?:u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})|(?P<one>.))|[^\\]+", re.DOTALL)
_INTERPOLATION = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}")

_VALUE_FORM: Final = "a value: a string in double quotes, a number, true, false, a list or an object"


def place(tree: Tree[Token]) -> Position:
    """Where `tree` begins."""
    return Position(tree.meta.line, tree.meta.column)


def subtrees(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    """The parts of `tree` that are trees and not punctuation."""
    return (child for child in tree.children if isinstance(child, Tree))


class ValueReader:
    """Reads the value of one attribute, and collects what is wrong with it in `problems`."""

    def __init__(self, text: str, file: str | None, attribute: str) -> None:
        self.text = text
        self.file = file
        self.attribute = attribute
        self.problems: list[ConfigProblem] = []

    def read(self, tree: Tree[Token], depth: int = 0) -> Any:
        """What `tree` holds; None where it is wrong."""
        if depth > MAX_DEPTH:
            self._refuse(tree, "a value nested too deeply", "fewer levels")
            return None
        match tree.data:
            case "expr_term":
                return self.read(next(part for part in subtrees(tree) if part.data != "new_line_or_comment"), depth + 1)
            case "literal_value":
                return _LITERALS[str(tree.children[0])]
            case "int_lit" | "float_lit":
                return self._number(tree, str(tree.children[0]))
            case "unary_op":
                return self._negative(tree, depth)
            case "string":
                return self._string(tree)
            case "heredoc_template" | "heredoc_template_trim":
                return self._heredoc(tree)
            case "tuple":
                return [self.read(item, depth + 1) for item in subtrees(tree) if item.data != "new_line_or_comment"]
            case "object":
                return self._object(tree, depth)
            case "identifier":
                self._refuse(tree, "a name where a value is wanted", f"{_VALUE_FORM}; put text in double quotes")
            case "function_call":
                self._refuse(tree, "a function cannot be called here", _VALUE_FORM)
            case _:
                self._refuse(tree, "an expression cannot be computed here", _VALUE_FORM)
        return None

    def _refuse(self, tree: Tree[Token], message: str, expected: str) -> None:
        line, column = place(tree)
        self.problems.append(ConfigProblem(message, self.file, line, column, self.attribute, expected))

    def _number(self, tree: Tree[Token], digits: str) -> int | float | None:
        if tree.data == "int_lit":
            if len(digits) <= 20:  # int64 has 19 digits; Python refuses to read thousands of them
                return int(digits)
        elif math.isfinite(number := float(digits)):
            return number
        self._refuse(tree, "a number too large to hold", "a number within 64 bits")
        return None

    def _negative(self, tree: Tree[Token], depth: int) -> int | float | None:
        found = len(self.problems)
        value = self.read(next(subtrees(tree)), depth + 1)
        if str(tree.children[0]) == "-" and type(value) in (int, float):
            return -value  # type: ignore[no-any-return]
        if len(self.problems) == found:
            self._refuse(tree, "an expression cannot be computed here", _VALUE_FORM)
        return None

    def _string(self, tree: Tree[Token]) -> str:
        parts: list[str] = []
        for part in subtrees(tree):
            child = part.children[0]
            if isinstance(child, Tree):
                parts.append(self._interpolation(child))
            elif child.type == "STRING_CHARS":
                parts.append(self._characters(part, str(child)))
            elif child.type == "ESCAPED_DIRECTIVE":
                parts.append(str(child)[1:])
            else:  # ESCAPED_INTERPOLATION: ``$${`` is the same in our own form
                parts.append(str(child))
        return "".join(parts)

    def _interpolation(self, tree: Tree[Token]) -> str:
        source = self.text[tree.meta.start_pos : tree.meta.end_pos]
        if match := _INTERPOLATION.fullmatch(source):
            return f"${{{match[1]}}}"
        self._refuse(tree, "an expression in a string cannot be computed here", VARIABLE_FORM)
        return ""

    def _characters(self, tree: Tree[Token], raw: str) -> str:
        if "\n" in raw:
            self._refuse(tree, "a string goes on after the end of its line", "'\"' at its end, \\n, or a heredoc")
            return ""
        return "".join(self._unescape(tree, match) for match in _CHARACTERS.finditer(raw))

    def _unescape(self, tree: Tree[Token], match: re.Match[str]) -> str:
        digits = match["u4"] or match["u8"]
        if digits:
            code = int(digits, 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                self._refuse(tree, f"{match[0]} is no character", "a Unicode code point")
                return ""
            # Written as an escape it begins no variable.
            return "$$" if code == ord("$") else chr(code)
        if match["one"] is None:
            return match[0]
        if match["one"] not in _ESCAPES:
            self._refuse(tree, f"unknown escape {match[0]!r}", r"one of \n \r \t \" \\ \uNNNN \UNNNNNNNN")
            return ""
        return _ESCAPES[match["one"]]

    def _heredoc(self, tree: Tree[Token]) -> str:
        # What stands between the first line and the last, which hold the marker.
        _, _, lines = str(tree.children[0]).partition("\n")
        body = lines[: lines.rfind("\n", 0, -1) + 1]
        if re.search(r"(?<!%)%\{", body):
            self._refuse(tree, "a template directive cannot be computed here", "%%{ for the text %{")
        if tree.data == "heredoc_template_trim":
            rows = body.splitlines(keepends=True)
            margin = min((len(row) - len(row.lstrip(" \t")) for row in rows if row.strip()), default=0)
            body = "".join(row[margin:] if row.strip() else row.lstrip(" \t") for row in rows)
        return body.replace("%%{", "%{")

    def _object(self, tree: Tree[Token], depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for element in subtrees(tree):
            if element.data != "object_elem":
                continue
            key_tree, value_tree = subtrees(element)
            key = self._key(key_tree)
            if key in entries:
                self._refuse(key_tree, f"{key!r} is set twice", "each key once")
            entries[key] = self.read(value_tree, depth + 1)
        return entries

    def _key(self, tree: Tree[Token]) -> str:
        inner: Tree[Token] | Token = tree
        while isinstance(inner, Tree) and inner.data in ("object_elem_key", "expr_term"):
            inner = inner.children[0]
        if isinstance(inner, Token):
            return str(inner)
        if inner.data in ("identifier", "keyword", "int_lit", "literal_value"):
            return str(inner.children[0])
        if inner.data == "string":
            return self._string(inner)
        self._refuse(tree, "an expression cannot be a key", "a name or a string")
        return ""
