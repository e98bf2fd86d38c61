"""HCL: what it may hold, and where its mistakes are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest

from metadatadb_core import hcl, hcl_grammar
from metadatadb_core.config import BackendConfig
from metadatadb_core.errors import ConfigError


class Example(BackendConfig):
    bucket: str
    count: int = 1
    text: str = ""
    token: str = ""
    items: list[int] = []


def read(value: str, variables: dict[str, str] | None = None) -> Any:
    """What the HCL expression `value` gives."""
    settings = hcl.parse(f"a = {value}\n").settings

    assert [] == list(settings.problems)

    class Any_(BackendConfig):
        a: Any

    return settings.configure(Any_, variables or {}).a


def mistakes(text: str) -> list[tuple[int | None, int | None, str | None, str]]:
    """The mistakes of a metadata block, by line, column and attribute."""
    with pytest.raises(ConfigError) as caught:
        hcl.the_block(hcl.parse(text, "x.hcl")).settings.configure(Example, {})

    assert {"x.hcl"} == {problem.file for problem in caught.value.problems}
    return [(problem.line, problem.column, problem.attribute, problem.message) for problem in caught.value.problems]


def test_a_text_has_a_longest_length(tmp_path: Path) -> None:
    """Parsing takes its time, and a device would fill memory for ever."""
    whole = "#" + "x" * (hcl.MAX_TEXT - 2) + "\n"
    path = tmp_path / "x.hcl"
    path.write_text(whole + "\n")

    assert () == hcl.parse(whole).blocks
    for read_it in (lambda: hcl.parse(whole + "\n"), lambda: hcl.parse_file(path)):
        with pytest.raises(ConfigError, match="too long for a configuration"):
            read_it()
    if Path("/dev/zero").exists():
        with pytest.raises(ConfigError, match="too long for a configuration"):
            hcl.parse_file("/dev/zero")


def test_a_heredoc_takes_time_in_proportion_to_its_length() -> None:
    """python-hcl2's own takes the square of it for blank lines; should it change, ours is to be looked at again."""
    assert r"\s*(?P=heredoc" not in hcl_grammar._grammar()
    assert 2 == hcl_grammar._grammar().count(hcl_grammar._BLANKS)
    assert "\n \n\n" == read("<<END\n\n \n\n  END")


_WHAT_PROGRAMS_DO = [
    'file("SECRET")',
    'templatefile("SECRET", {})',
    'env("HOME")',
    'run_cmd("touch", "SECRET.made")',
    'provider::local::read("SECRET")',
    '"${file("SECRET")}"',
    '"${1 + 1}"',
    '"${path.module}"',
    '"%{ for x in y }z%{ endfor }"',
    '<<E\n${file("SECRET")}\nE',
    "<<E\n%{ if true }x%{ endif }\nE",
    "var.secret",
    "local.x[0]",
    "[for x in [1]: x]",
    "1 + 1",
    "true ? 1 : 2",
]

_READ_WATCHED = """
import json, sys
from metadatadb_core import BackendConfig, ConfigError, hcl

class Example(BackendConfig):
    text: str = ""

values = json.load(sys.stdin)
hcl.parse_block('text = f("x")', "s3")  # what is imported and read once is there by now
done, watching = [], True

def note(event, arguments):
    if watching and event.partition(".")[0] in ("open", "os", "subprocess", "exec", "compile", "import", "socket"):
        done.append(f"{event} {arguments}")

sys.addaudithook(note)
errors = []
for value in values:
    try:
        hcl.parse_block(f"text = {value}\\n", "s3").configure(Example, {"HOME": "/home"})
    except ConfigError as error:
        errors.append(str(error))
watching = False
print(json.dumps([done, errors]))
"""


def test_hcl_reads_nothing_and_computes_nothing(tmp_path: Path) -> None:
    """A configuration is values. Whatever else HCL knows is a mistake, and nothing is opened or run for it."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    values = [value.replace("SECRET", secret.as_posix()) for value in _WHAT_PROGRAMS_DO]
    program = subprocess.run(
        [sys.executable, "-c", _READ_WATCHED], input=json.dumps(values), capture_output=True, text=True, check=True
    )
    done, errors = json.loads(program.stdout)

    assert [] == done
    assert len(values) == len(errors)
    assert [] == [error for error in errors if "hunter2" in error]
    assert [secret] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("(5)", 5),
        ("1.5e3", 1500.0),
        ("true", True),
        ("null", None),
        ('""', ""),
        (r'"\n\t\r\"\\"', '\n\t\r"\\'),
        (r'"\u00e9\U0001F600"', "é😀"),
        ('[1, "a", [true]]', [1, "a", [True]]),
        ("[\n  1,\n  2,\n]", [1, 2]),
        ('{ a = 1, "b c" = 2, d : 3 }', {"a": 1, "b c": 2, "d": 3}),
        ("{\n  a = 1\n  if = 2\n}", {"a": 1, "if": 2}),
        ("<<END\none\n  two\\n\nEND", "one\n  two\\n\n"),
        ("<<-END\n    one\n      two\n    END", "one\n  two\n"),
        ("<<END\r\none\r\nEND\r", "one\r\n"),
        ("<<E\nE", ""),
    ],
)
def test_a_value_is_what_hcl_says(text: str, value: object) -> None:
    """Strings with escapes, numbers, lists, objects, heredocs."""
    actual = read(text)

    assert value == actual
    assert type(value) is type(actual)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"${X}/$X/${ X }"', "1/1/1"),
        ('"$$X $${X}"', "$X ${X}"),
        ('"%%{x}"', "%{x}"),
        (r'"\u0024X"', "$X"),
        ('["$X", { a = "${X}" }]', ["1", {"a": "1"}]),
        ("<<END\n$X ${X}\nEND", "1 1\n"),
    ],
)
def test_variables_stand_in_strings_of_every_kind(text: str, value: object) -> None:
    """``${X}`` is a template in HCL's grammar and ``$X`` is plain text: both are references here."""
    assert value == read(text, {"X": "1"})


@pytest.mark.parametrize(
    ("value", "column", "message"),
    [
        ("foo(1)", 5, "a function cannot be called here"),
        ('file("/etc/passwd")', 5, "a function cannot be called here"),
        ("1 + 2", 5, "an expression cannot be computed here"),
        ("!true", 5, "an expression cannot be computed here"),
        ('-"x"', 5, "an expression cannot be computed here"),
        ("[for x in y : x]", 5, "an expression cannot be computed here"),
        ("bare", 5, "a name where a value is wanted"),
        ('"${a.b}"', 6, "an expression in a string cannot be computed here"),
        ('"%{ if x }y%{ endif }"', 6, "an expression in a string cannot be computed here"),
        (r'"\q"', 6, r"unknown escape '\\q'"),
        (r'"\ud800"', 6, r"\ud800 is no character"),
        ('"one\ntwo"', 6, "a string goes on after the end of its line"),
        ("9" * 30, 5, "a number too large to hold"),
        ("1e999", 5, "a number too large to hold"),
        ("{ x = 1, x = 2 }", 14, "'x' is set twice"),
        ("<<END\n%{ if x }\nEND", 5, "a template directive cannot be computed here"),
        ("[" * 5000 + "]" * 5000, None, "a value nested too deeply"),
    ],
)
def test_only_values_are_allowed(value: str, column: int | None, message: str) -> None:
    """HCL reads no file and computes nothing; the place of what it may not hold is told."""
    problem = hcl.parse(f"a = {value}\n").settings.problems[0]

    assert (message, 1, "a") == (problem.message, problem.line, problem.attribute)
    assert column in (None, problem.column)
    assert problem.expected is not None


def test_every_mistake_in_a_file_is_told_at_its_place() -> None:
    """Of all kinds, in the order of the file."""
    text = (
        "stray = 1\n"
        "metadata example {\n"
        "  bukcet = 5\n"
        '  count  = "many"\n'
        "  count  = 2\n"
        '  text   = "$NO ${a.b}"\n'
        "  items  = [1, two, 3 + 4]\n"
        "  retry { }\n"
        "}\n"
        "other {}\n"
    )

    assert [
        (1, 1, "stray", "attribute 'stray' outside a block"),
        (2, 1, "bucket", "'bucket' is missing"),
        (3, 3, "bukcet", "unknown attribute 'bukcet'"),
        (4, 12, "count", "wrong value for 'count': \"many\""),
        (5, 3, "count", "'count' is set twice, first on line 4"),
        (6, 12, "text", "unknown variable 'NO'"),
        (6, 17, "text", "an expression in a string cannot be computed here"),
        (7, 16, "items", "a name where a value is wanted"),
        (7, 21, "items", "an expression cannot be computed here"),
        (8, 3, "retry", "block 'retry' inside a block"),
        (10, 1, "other", "unexpected block 'other'"),
    ] == mistakes(text)


def test_a_duplicate_attribute_is_never_dropped() -> None:
    """Nor does the last one win."""
    assert [(1, 35, "bucket", "'bucket' is set twice, first on line 1")] == mistakes(
        'metadata example { bucket = "a"   bucket = "b" }'
    )


@pytest.mark.parametrize("label", ["example", '"example"'])
def test_a_label_is_quoted_or_bare(label: str) -> None:
    """Both are HCL. Attributes may share a line."""
    block = hcl.the_block(hcl.parse(f'metadata {label} {{ bucket = "b"  count = 2 }}'))

    assert ("metadata", ("example",)) == (block.kind, block.labels)
    assert Example(bucket="b", count=2) == block.settings.configure(Example, {})


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["no metadata block"]),
        ("# nothing\n", ["no metadata block"]),
        ("metadata {}", ["a metadata block has one label, the backend's name; this one has 0"]),
        ("metadata a b {}", ["a metadata block has one label, the backend's name; this one has 2"]),
        ("cache s3 {}", ["unexpected block 'cache s3'"]),
        ('metadata example { bucket = "b" }\nmetadata other {}', ["unexpected block 'metadata other'"]),
    ],
)
def test_a_file_holds_one_metadata_block(text: str, messages: list[str]) -> None:
    """And says so when it holds none, several, or something else."""
    assert messages == [message for _, _, _, message in mistakes(text)]


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "expected"),
    [
        ("metadata s3 {", 1, 14, "the file ends too early", "'}'"),
        ("metadata s3 {\n  a = 1\n", 3, 1, "the file ends too early", "'}'"),
        ("metadata s3 { a = }", 1, 19, "unexpected '}'", "a value: "),
        ("metadata s3 {\n a =\n}", 2, 5, "unexpected end of line", "a value: "),
        ("metadata s3 { a: 1 }", 1, 16, "unexpected ':'", "'=' and a value or '{'"),
        ('metadata s3 {\n a = "x\n b = "y"\n}', 2, 6, "a string is not closed", "'\"' at its end"),
        ("metadata s3 { a = 'b' }", 1, 19, "a string stands in double quotes, not in single ones", '"text"'),
        ("metadata s3 {\n ttl = 30s\n}", 2, 8, "a duration stands in quotes", '"30s"'),
        ("metadata s3 {\n ttl = 1m30s }", 2, 8, "a duration stands in quotes", '"30s"'),
        ("metadata s3 { a = <<END\n b\n}", 1, 19, "a heredoc is not closed", "its marker"),
        ("/* metadata", 1, 1, "a comment is not closed", "'*/'"),
        ('metadata s3 {\n a : "b"\n}', 2, 4, "unexpected ':'", "'=' and a value"),
        ("}", 1, 1, "unexpected '}'", "a name or the end of the file"),
        ("metadata 5 {}", 1, 10, "unexpected '5'", "'=' and a value or '{'"),
        ("a = [1\nb = 2", 2, 1, "unexpected 'b'", "','"),
    ],
)
def test_a_syntax_error_is_told_alone_and_in_plain_words(
    text: str, line: int, column: int, message: str, expected: str
) -> None:
    """With its place, and none of the parser's own terms."""
    with pytest.raises(ConfigError) as caught:
        hcl.parse(text, "x.hcl")
    (problem,) = caught.value.problems

    assert ("x.hcl", line, column, message) == (problem.file, problem.line, problem.column, problem.message)
    assert expected in (problem.expected or "")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ["secret-keys = [1 hunter2]", "password = 'hunter2'", "token = 12hunter2"])
def test_a_syntax_error_repeats_no_secret(text: str) -> None:
    """What stands at the mistake may be one."""
    with pytest.raises(ConfigError) as caught:
        hcl.parse(text)

    assert "hunter2" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As editors on Windows write it; so are the ends of its lines."""
    path = tmp_path / "x.hcl"
    path.write_bytes(b'\xef\xbb\xbfmetadata example {\r\n  bucket = "b"\r\n}\r\n')

    assert "b" == hcl.the_block(hcl.parse_file(path)).settings.configure(Example, {}).bucket


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot read the file: No such file"),
        (lambda path: path.mkdir(), "cannot read the file: "),
        (lambda path: path.write_bytes(b"a = \xff"), "cannot read the file: 'utf-8' codec"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any, message: str) -> None:
    """Absent, a directory, not text."""
    path = tmp_path / "x.hcl"
    make(path)

    with pytest.raises(ConfigError, match=message) as caught:
        hcl.parse_file(path)
    assert str(path) == caught.value.file


# -- the cache of the grammar --------------------------------------------------------------------------------

_PARSE = """
import lark.lark
load_grammar = lark.lark.load_grammar
built = []
lark.lark.load_grammar = lambda *args: built.append(args) or load_grammar(*args)
from metadatadb_core import hcl
assert 5 == hcl.parse("a = 5").settings.settings[0].value
print("built" if built else "cached")
"""

needs_posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners of files are POSIX's")


def start(cache: Path) -> str:
    """Parse in a new process whose cache directory is under `cache`: was the parser built, or read?"""
    directories = {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache), "HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", _PARSE],
        env={**os.environ, **directories, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def cached(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_the_grammar_is_built_once_per_user_and_not_beside_the_package(tmp_path: Path) -> None:
    """The second start reads what the first one wrote in the user's own directory; site-packages is left alone."""
    package = Path(hcl2.__file__).parent
    before = {path for path in package.iterdir() if path.suffix == ".bin"}

    assert ["built", "cached"] == [start(tmp_path), start(tmp_path)]
    assert before == {path for path in package.iterdir() if path.suffix == ".bin"}
    (file,) = cached(tmp_path)
    if os.name == "posix":
        assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)
        assert 0o600 == stat.S_IMODE(file.stat().st_mode)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache directory in which the grammar is."""
    directory = tmp_path_factory.mktemp("filled")
    start(directory)
    return directory


def test_a_damaged_cache_is_written_anew(filled: Path, tmp_path: Path) -> None:
    """A disk that was full leaves half a file."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    (file,) = cached(tmp_path)
    file.write_bytes(file.read_bytes()[:1000])

    assert ["built", "cached"] == [start(tmp_path), start(tmp_path)]


@needs_posix
def test_a_cache_that_others_can_write_to_is_not_read(filled: Path, tmp_path: Path) -> None:
    """It is a pickle: whoever writes it runs code as us."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    (file,) = cached(tmp_path)
    file.parent.chmod(0o777)

    assert "built" == start(tmp_path)


@needs_posix
def test_a_cache_behind_a_link_is_not_read(filled: Path, tmp_path: Path) -> None:
    """The link may be another user's."""
    (file,) = cached(filled)
    link = tmp_path.joinpath(*file.parent.relative_to(filled).parts)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(file.parent)

    assert "built" == start(tmp_path)


@needs_posix
def test_nothing_is_cached_in_a_directory_of_another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under sudo the home is somebody else's, and /tmp is nobody's."""
    from metadatadb_core import hcl_grammar

    owner = tmp_path.stat().st_uid
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)

    assert hcl_grammar.cache_directory() is None
    assert [] == list(tmp_path.iterdir())


@needs_posix
def test_without_a_directory_to_write_to_hcl_is_read_all_the_same(tmp_path: Path) -> None:
    """Only slower."""
    (tmp_path / "file").write_text("")

    assert "built" == start(tmp_path / "file")
    with contextlib.suppress(FileNotFoundError):
        assert [] == cached(tmp_path / "file")
