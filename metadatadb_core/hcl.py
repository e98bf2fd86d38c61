"""HCL text as attributes and blocks, each with its place.

The tree is walked rather than taken from `hcl2.loads`, which drops duplicate attributes silently and keeps no
positions. This module imports lark and python-hcl2: import it only where HCL is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, final

import msgspec
from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.hcl_grammar import parser
from metadatadb_core.hcl_syntax import explain
from metadatadb_core.hcl_values import ValueReader, place, subtrees
from metadatadb_core.settings import Position, Setting, Settings

__all__ = ["MAX_TEXT", "Block", "Document", "parse", "parse_block", "parse_file", "the_block"]

MAX_TEXT: Final = 64 * 2**10
"""The longest text that is read, in characters, and in bytes for a file: seconds' worth of parsing."""


@final
class Block(msgspec.Struct, frozen=True):
    """One block.

    Attributes:
        kind: its first word, ``metadata``.
        labels: what follows it, quoted or bare.
        settings: its attributes, with the mistakes found in reading them.
    """

    kind: str
    labels: tuple[str, ...]
    settings: Settings


@final
class Document(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        settings: attributes that stand in no block.
        blocks: its blocks, in their order.
    """

    settings: Settings
    blocks: tuple[Block, ...]


def parse_file(path: str | os.PathLike[str]) -> Document:
    """The attributes and blocks of a file.

    Raises:
        ConfigError: the file cannot be read, is too long or no UTF-8 text, or breaks HCL's syntax.
    """
    name = os.fspath(path)
    try:
        with Path(name).open("rb") as stream:  # which a device would fill for ever
            content = stream.read(MAX_TEXT + 1)
        text = content.decode("utf-8-sig") if len(content) <= MAX_TEXT else None
    except OSError as error:
        raise ConfigError([ConfigProblem(f"cannot read the file: {error.strerror or error}", name)]) from error
    except ValueError as error:
        # A UnicodeDecodeError, or a path with a null character in it.
        raise ConfigError([ConfigProblem(f"cannot read the file: {error}", name, expected="UTF-8 text")]) from None
    if text is None:
        raise ConfigError([_too_long(name)])
    return parse(text, name)


def parse(text: str, file: str | None = None) -> Document:
    """The attributes and blocks of `text`.

    Args:
        text: HCL.
        file: where it comes from, for errors.

    Raises:
        ConfigError: it breaks HCL's syntax, or is longer than `MAX_TEXT`. Every other mistake is kept in the settings
            concerned, and told together with those that are found when they are used.
    """
    if len(text) > MAX_TEXT:
        raise ConfigError([_too_long(file)])
    try:
        # The grammar knows no end of a line at the end of the file.
        start = parser().parse(text + "\n")
    except UnexpectedInput as error:
        raise ConfigError([explain(error, text, file)]) from None
    return _Reader(text, file).document(next(subtrees(start)))


def _too_long(file: str | None) -> ConfigProblem:
    return ConfigProblem("this is too long for a configuration", file, expected=f"at most {MAX_TEXT} bytes of HCL")


def parse_block(text: str, label: str) -> Settings:
    """The attributes of one ``metadata`` block, given whole or only what stands between its braces.

    Args:
        text: HCL.
        label: the backend's name, which a whole block must bear.

    Raises:
        ConfigError: it breaks HCL's syntax.
    """
    document = parse(text)
    if len(document.blocks) == 1 and not document.settings.settings and not document.settings.problems:
        block = document.blocks[0]
        if (block.kind, block.labels) == ("metadata", (label,)):
            return block.settings
    extra = [_unexpected(block, f"the attributes of the backend {label!r}") for block in document.blocks]
    return msgspec.structs.replace(document.settings, problems=[*document.settings.problems, *extra])


def the_block(document: Document) -> Block:
    """The ``metadata`` block of a file that holds nothing else; what else there is becomes a mistake in it.

    Raises:
        ConfigError: there is no ``metadata`` block with a label.
    """
    form = 'one block: metadata "<backend>" { ... }'
    file = document.settings.file
    stray = list(document.settings.problems)
    for setting in document.settings.settings:
        line, column = setting.name_at or (None, None)
        message = f"attribute {setting.name!r} outside a block"
        stray.append(ConfigProblem(message, file, line, column, setting.name, form))
    chosen: Block | None = None
    for block in document.blocks:
        if block.kind != "metadata" or chosen is not None:
            stray.append(_unexpected(block, form))
        elif len(block.labels) != 1:
            message = f"a metadata block has one label, the backend's name; this one has {len(block.labels)}"
            stray.append(msgspec.structs.replace(_unexpected(block, form), message=message))
        else:
            chosen = block
    if chosen is None:
        raise ConfigError(stray or [ConfigProblem("no metadata block", file, expected=form)])
    settings = msgspec.structs.replace(chosen.settings, problems=[*stray, *chosen.settings.problems])
    return msgspec.structs.replace(chosen, settings=settings)


def _unexpected(block: Block, expected: str) -> ConfigProblem:
    head = " ".join([block.kind, *block.labels])
    line, column = block.settings.at or (None, None)
    return ConfigProblem(f"unexpected block {head!r}", block.settings.file, line, column, block.kind, expected)


class _Reader:
    def __init__(self, text: str, file: str | None) -> None:
        self.text = text
        self.file = file

    def document(self, body: Tree[Token]) -> Document:
        blocks = tuple(self._block(tree) for tree in subtrees(body) if tree.data == "block")
        return Document(self._settings(body, None), blocks)

    def _block(self, tree: Tree[Token]) -> Block:
        *_, body = subtrees(tree)
        kind, *labels = self._words(tree)
        settings = self._settings(body, place(tree))
        inner = tuple(self._nested(child, self._words(child)[0]) for child in subtrees(body) if child.data == "block")
        problems = (*settings.problems, *inner)
        return Block(kind, tuple(labels), Settings(settings.settings, self.file, settings.at, problems))

    def _nested(self, tree: Tree[Token], kind: str) -> ConfigProblem:
        at = place(tree)
        return ConfigProblem(
            f"block {kind!r} inside a block", self.file, at.line, at.column, kind, expected=f"attributes: {kind} = ..."
        )

    def _words(self, tree: Tree[Token]) -> list[str]:
        heads = [part for part in subtrees(tree) if part.data not in ("new_line_or_comment", "body")]
        return [
            self.text[head.meta.start_pos + 1 : head.meta.end_pos - 1]
            if head.data == "string"
            else str(head.children[0])
            for head in heads
        ]

    def _settings(self, body: Tree[Token], at: Position | None) -> Settings:
        settings: list[Setting] = []
        problems: list[ConfigProblem] = []
        for tree in subtrees(body):
            if tree.data != "attribute":
                continue
            name_tree, value_tree = subtrees(tree)
            name = str(name_tree.children[0])
            reader = ValueReader(self.text, self.file, name)
            value = reader.read(value_tree)
            problems += reader.problems
            readable = not reader.problems
            settings.append(Setting(name, value, place(name_tree), place(value_tree), readable=readable))
        return Settings(settings, self.file, at, problems)
