"""From attributes as they are written to a configuration, with every mistake at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, final

import msgspec
from msgspec.structs import FieldInfo, fields

from metadatadb_core.config import BackendConfig, convert, has_default, misfit
from metadatadb_core.errors import ConfigError, ConfigProblem
from metadatadb_core.spelling import nearest
from metadatadb_core.variables import expand
from metadatadb_core.wording import describe, without_credentials

__all__ = ["Position", "Setting", "Settings"]

C = TypeVar("C", bound=BackendConfig)


class Position(NamedTuple):
    """A place in a text, both counted from 1."""

    line: int
    column: int


@final
class Setting(msgspec.Struct, frozen=True):
    """One attribute as it is written.

    Attributes:
        name: the attribute, by its HCL name.
        value: a value as HCL or JSON hold them; its strings may refer to variables.
        name_at, value_at: where they stand, or None where there are no lines.
        from_text: whether the value is text whatever its type (from a URL).
        readable: False if a mistake in the value was found already, so that its type says nothing.
    """

    name: str
    value: Any
    name_at: Position | None = None
    value_at: Position | None = None
    from_text: bool = False
    readable: bool = True


@final
class Settings(msgspec.Struct, frozen=True):
    """The attributes of one configuration, and the mistakes found while they were read.

    Attributes:
        settings: in the order they are written.
        file: the file or URL they stand in, without credentials, or None.
        at: where the block begins, or None.
        problems: mistakes already found, with their positions.
        complete: False if what was read may lack attributes, so that missing ones are no mistake of the user's.
    """

    settings: Sequence[Setting] = ()
    file: str | None = None
    at: Position | None = None
    problems: Sequence[ConfigProblem] = ()
    complete: bool = True

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Settings:
        """The attributes that a mapping holds by their HCL names."""
        return cls([Setting(name, value) for name, value in values.items()])

    def configure(self, config_class: type[C], variables: Mapping[str, str]) -> C:
        """Check everything and make the configuration.

        Raises:
            ConfigError: every mistake, in the order of the text.
        """
        return _Check(self, config_class, variables).run()


class _Check(Generic[C]):
    """One pass over settings that collects problems rather than stop at the first."""

    def __init__(self, given: Settings, config_class: type[C], variables: Mapping[str, str]) -> None:
        self.given = given
        self.config_class = config_class
        self.variables = variables
        self.fields = {field.encode_name: field for field in fields(config_class)}
        self.problems = list(given.problems)
        self.values: dict[str, Any] = {}

    def run(self) -> C:
        written = self._distinct(self.given.settings)
        for name, setting in written.items():
            if (field := self.fields.get(name)) is None:
                self._unknown(setting)
            else:
                self._value(field, setting)
        for name, field in self.fields.items():
            if name not in written:
                self._absent(field)
        config = self._make(written) if not self.problems else None
        if config is None:
            raise ConfigError(sorted(self.problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
        return config

    def _distinct(self, settings: Iterable[Setting]) -> dict[str, Setting]:
        written: dict[str, Setting] = {}
        for setting in settings:
            first = written.setdefault(setting.name, setting)
            if first is not setting:
                where = f", first on line {first.name_at.line}" if first.name_at else ""
                self._report(f"{setting.name!r} is set twice{where}", setting.name, setting.name_at)
        return written

    def _unknown(self, setting: Setting) -> None:
        known = ", ".join(sorted(self.fields)) or "no attribute, this backend has none"
        guess = nearest(setting.name, self.fields)
        self._report(
            f"unknown attribute {setting.name!r}",
            setting.name,
            setting.name_at,
            expected=f"one of {known}" if self.fields and guess is None else None if guess else known,
            nearest=guess,
        )

    def _value(self, field: FieldInfo, setting: Setting) -> None:
        mistakes: list[ConfigProblem] = []
        value = expand(setting.value, self.variables, mistakes)
        if not mistakes and setting.readable:
            expanded = value != setting.value
            try:
                self.values[field.name] = convert(value, field.type, from_text=setting.from_text or expanded)
            except msgspec.ValidationError as error:
                mistakes.append(misfit(field, setting.value, error, expanded=expanded))
        for mistake in mistakes:
            self._locate(mistake, setting.name, setting.value_at)

    def _absent(self, field: FieldInfo) -> None:
        if field.required:
            if self.given.complete:
                name = field.encode_name
                self._report(f"{name!r} is missing", name, self.given.at, expected=describe(field.type))
        elif has_default(field) and isinstance(field.default, str):
            mistakes: list[ConfigProblem] = []
            self.values[field.name] = expand(field.default, self.variables, mistakes)
            for mistake in mistakes:
                message = f"the default of {field.encode_name!r}: {mistake.message}"
                self._locate(msgspec.structs.replace(mistake, message=message), field.encode_name, self.given.at)

    def _make(self, written: Mapping[str, Setting]) -> C | None:
        try:
            return self.config_class(**self.values)
        except ConfigError as error:
            for problem in error.problems:
                setting = written.get(problem.attribute or "")
                self._locate(problem, problem.attribute, setting.value_at if setting else self.given.at)
        except (ValueError, TypeError) as error:  # a check of the class's own, in its __post_init__
            self._report(without_credentials(str(error)), None, self.given.at)
        return None

    def _report(
        self,
        message: str,
        attribute: str | None,
        at: Position | None,
        expected: str | None = None,
        nearest: str | None = None,
    ) -> None:
        self._locate(ConfigProblem(message, expected=expected, nearest=nearest), attribute, at)

    def _locate(self, problem: ConfigProblem, attribute: str | None, at: Position | None) -> None:
        line, column = at or (None, None)
        self.problems.append(
            msgspec.structs.replace(problem, file=self.given.file, line=line, column=column, attribute=attribute)
        )
