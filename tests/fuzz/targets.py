"""What is fuzzed: each reader of foreign bytes, the errors it may raise, and what must hold of what it has read.

A target reads one input. It returns or raises a documented error; anything else is a mistake in the library. The
modules under test are imported inside the targets, so that a fuzzer can instrument them first.
"""

from __future__ import annotations

import functools
import io
import json
import secrets
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

__all__ = ["TARGETS", "Target", "check"]


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes.

    Attributes:
        name: what it is called.
        read: reads one input, and asserts what must hold.
        raises: the names of the errors of `metadatadb_core.errors` that are documented.
        seeds: well-formed inputs.
        words: what inputs of this kind are made of.
    """

    name: str
    read: Callable[[bytes], None]
    raises: tuple[str, ...]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        return self.name


def check(target: Target, data: bytes) -> None:
    """Let `target` read `data`; what it raises is undocumented."""
    from metadatadb_core import errors

    with suppress(*(getattr(errors, name) for name in target.raises)):
        target.read(data)


# -- stored objects ------------------------------------------------------------------------------------------


def _state(data: bytes) -> None:
    from metadatadb_core import ops
    from metadatadb_core.state import NamespaceState

    state = NamespaceState.decode(data)
    _outlives_its_stored_form(state)
    for name in [*list(state.names)[:8], "absent"]:
        _answers(state, name)
        for op in _every_write(name):
            state.apply(op)
            state.query(ops.ShapeGet(name))
    _outlives_its_stored_form(state)


def _replay(data: bytes) -> None:
    from metadatadb_core.ops import decode_ops
    from metadatadb_core.state import NamespaceState

    stored, _, written = data.partition(b"\n")
    state = NamespaceState.decode(stored)
    for op in decode_ops(written):
        state.apply(op)
        _answers(state, op.key)
    _outlives_its_stored_form(state)


def _outlives_its_stored_form(state: Any) -> None:
    """What is written is read again as it was, and written again in the same bytes."""
    from metadatadb_core.state import NamespaceState

    body = state.encode()
    again = NamespaceState.decode(body)

    assert _comparable(state.names) == _comparable(again.names)
    assert body == again.encode()


def _comparable(names: dict[str, Any]) -> dict[str, Any]:
    from metadatadb_core.members import Members

    return {
        name: ("members", value.items, value.foreign) if isinstance(value, Members) else value
        for name, value in names.items()
    }


def _every_write(name: str) -> list[Any]:
    from metadatadb_core import ops

    values: dict[str, Any] = {"delta": 1, "factor": -3, "divisor": 2, "map_key": "k", "member": "k", "value": 7}
    return [kind(name, *(values[field] for field in kind.__struct_fields__[1:])) for kind in ops.WRITE_OPS]


def _answers(state: Any, name: str) -> None:
    """Every question about `name` has an answer that agrees with the others."""
    from metadatadb_core import ops

    values: dict[str, Any] = {"map_key": "k", "member": "k", "start": None, "stop": 3}
    answers = {
        kind.__name__: state.query(kind(name, *(values[field] for field in kind.__struct_fields__[1:])))
        for kind in ops.READ_OPS
    }

    assert answers["MapLen"] == len(answers["MapKeys"]) == len(answers["MapEntries"])
    assert answers["IntMapLen"] == len(answers["IntMapKeys"]) == len(answers["IntMapEntries"])
    assert answers["SetLen"] == len(answers["SetMembers"])
    assert answers["ListLen"] == len(answers["ListEntries"])
    assert answers["ListSlice"] == answers["ListEntries"][:3]


def _head(data: bytes) -> None:
    from metadatadb_core.replication.object_store import StoredObject, Version
    from metadatadb_core.replication.record import BatchId
    from metadatadb_core.replication.snapshot import head_of

    head = head_of(StoredObject(data, Version("1")), ".metadata/ns.json", "ns")
    batch = BatchId("writer", 1)
    for base in (None, 0, head.record.commits):
        head.record.judge(batch, base)
    after = head.record.after([batch])

    assert after.commits > head.record.commits
    assert after.judge(batch, None) is after.judge(batch, 0)
    json.dumps(after.to_json())


def _lock(data: bytes) -> None:
    from metadatadb_core.replication.lock import Lock
    from metadatadb_core.replication.object_store import StoredObject, Version
    from metadatadb_core.replication.outcomes import PreconditionFailed
    from metadatadb_core.replication.requests import Get, Put, Wait
    from tests.support.engine import FakeTime, environment

    time = FakeTime()
    # A nonce that cannot be guessed: a lock that carries ours is ours.
    steps = Lock("ns.lock", 30.0, replace(environment(time), new_id=lambda: secrets.token_hex(12))).acquire()
    request = next(steps)
    while not (isinstance(request, Put) and request.expect == "1"):  # until it is taken over
        match request:
            case Put():
                request = steps.throw(PreconditionFailed("there is one"))
            case Get():
                request = steps.send(StoredObject(data, Version("1")))
            case Wait():
                time.advance(3600.0)
                request = steps.send(None)
            case _:
                raise AssertionError(request)

        assert time.now < 48 * 3600.0, "a lock that nobody refreshes is never taken over"
    steps.close()


# -- spool files ---------------------------------------------------------------------------------------------


def _spool_file(data: bytes) -> None:
    from metadatadb_core.replication.spool import records

    contents = records.read(io.BytesIO(data))
    if contents is not None:
        _recoverable(contents)


def _spool_records(data: bytes) -> None:
    """Each line gets the checksum that it needs, and the first is a header."""
    from metadatadb_core.replication.spool import records

    file = _spool(data)
    contents = records.read(io.BytesIO(file))

    assert contents is not None
    assert contents.size <= len(file)
    _recoverable(contents)


def _recoverable(contents: Any) -> None:
    """What was read can be replayed, and recorded in the store."""
    from metadatadb_core.replication.record import Record
    from metadatadb_core.state import NamespaceState

    state = NamespaceState()
    for op in contents.ops:
        state.apply(op)
    state.encode()
    if contents.batch is not None:
        Record().judge(contents.batch, contents.base)
        record = Record().after([contents.batch])

        assert record == Record.from_json(record.to_json(), "ns")


_OPENING: Final = b'spool {"format":1,"store":"store","prefix":"","namespace":"ns","process":1,"created":"2026-01-01"}'


def _spool(data: bytes) -> bytes:
    """A file of records, a line each, behind the header."""
    return b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in [_OPENING, *data.split(b"\n")])


def _spool_directory(data: bytes) -> None:
    """Files of records, separated by zero bytes; after a ``~`` one whose end is cut off, after a ``!`` any bytes.

    What one heir takes over, who dies before it is flushed, the next one takes over under the same ids.
    """
    from metadatadb_core.replication.spool import DirectorySpool
    from metadatadb_core.replication.spool import Target as SpoolTarget
    from tests.support.engine import environment

    env = environment(_clock(), "heir")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for number, part in enumerate(data.split(b"\x00")[:8]):
            file = part[1:] if part[:1] == b"!" else _spool(part.removeprefix(b"~"))
            kept = len(file) - (len(part) // 8 if part[:1] == b"~" else 0)
            (directory / f"ns.{number:020d}-0000-00000001.spool").write_bytes(file[:kept])
        taken = []
        for _ in range(3):
            spool = DirectorySpool(directory, SpoolTarget("store", "", "ns"), "never", env)
            taken.append(spool.recover())
            spool.abandon()

        assert taken[0] == taken[1] == taken[2]
        assert len(taken[0]) == len({batch.id for batch in taken[0]})


@functools.cache
def _clock() -> Any:
    from tests.support.engine import FakeTime

    return FakeTime()


# -- configuration -------------------------------------------------------------------------------------------


@functools.cache
def _registry() -> Any:
    """One with a backend whose URLs have credentials, a host and a path."""
    from metadatadb_core.registry import Registry
    from metadatadb_core.replication.config import ReplicationConfig

    class Example(ReplicationConfig):
        host: str = ""
        password: str = ""
        ports: list[int] = []
        labels: dict[str, list[str]] = {}

    def from_url(url: Any) -> dict[str, object]:
        located: dict[str, object] = {"host": url.hostname, "password": url.password, "ports": url.port and [url.port]}
        return {name: value for name, value in located.items() if value is not None}

    def never(config: Example) -> Any:
        raise AssertionError(config)

    registry = Registry()
    registry.register("example", "For fuzzing", never, Example, from_url)
    return registry


def _hcl(data: bytes) -> None:
    """A file of one block, and the text of a block or of what stands between its braces."""
    from metadatadb_core import hcl
    from metadatadb_core.errors import ConfigError

    text = data.decode("utf-8", "replace")
    config = _registry().registration("example").config_class
    with suppress(ConfigError):
        hcl.the_block(hcl.parse(text, "x.hcl")).settings.configure(config, {"A": "a", "B": "${A}"})
    hcl.parse_block(text, "example").configure(config, {"A": "a", "B": "${A}"})


def _hcl_file(data: bytes) -> None:
    from metadatadb_core import hcl

    with tempfile.NamedTemporaryFile(suffix=".hcl") as file:
        file.write(data)
        file.flush()
        hcl.parse_file(file.name)


def _url(data: bytes) -> None:
    from metadatadb_core.targets import read_target

    # What is no byte of UTF-8 comes in as a lone surrogate, as in the arguments of a program.
    text = data.decode("utf-8", "surrogateescape")
    name, settings = read_target(text if "://" in text else f"example://{text}", _registry())
    if name == "example":
        settings.configure(_registry().registration(name).config_class, {"A": "a"})


def _duration(data: bytes) -> None:
    from metadatadb_core.duration import Duration

    duration = Duration(data.decode("utf-8", "replace"))

    assert 0 <= duration < 2**63 / 1e9 + 1
    # Beyond some thirty years a float has no microseconds left.
    assert abs(Duration(str(duration)) - duration) <= 1e-6 * max(1.0, duration / 1e9)


def _variables(data: bytes) -> None:
    from metadatadb_core.variables import expand

    text = data.decode("utf-8", "replace")
    problems: list[Any] = []
    expanded = expand([{"x": text}], {"A": "1", "HOME": "$A"}, problems)

    assert problems or isinstance(expanded[0]["x"], str)


# -- keys and ops --------------------------------------------------------------------------------------------


def _key(data: bytes) -> None:
    from metadatadb_core.keys import CanonicalKey, canonical_key, from_member_key, member_key, member_text

    text = data.decode("utf-8", "replace")
    key = from_member_key(text)
    if key is None:
        return
    value = key.value if isinstance(key, CanonicalKey) else key

    assert text == member_text(key) == canonical_key(value)
    assert key == member_key(value)


def _members(data: bytes) -> None:
    """Names in one stored object, a line each: the fast way through the codec and the slow one agree."""
    from metadatadb_core.codec import decode_names, encode_names
    from metadatadb_core.members import Members

    texts = data.decode("utf-8", "replace").split("\n")
    for value in (1, '":', [1]):
        stored = dict.fromkeys(texts, value)
        expected = Members.from_object(stored)
        found = decode_names(json.dumps({"m": stored}, ensure_ascii=False, separators=(",", ":")).encode())["m"]

        assert isinstance(found, Members)
        assert (expected.items, expected.foreign) == (found.items, found.foreign)
        assert stored == json.loads(encode_names({"m": found}))["m"]


def _ops(data: bytes) -> None:
    from metadatadb_core.ops import decode_ops, encode_ops
    from metadatadb_core.state import NamespaceState

    ops = decode_ops(data)
    again = decode_ops(encode_ops(ops))
    before, after = NamespaceState(), NamespaceState()
    for op, same in zip(ops, again, strict=True):
        before.apply(op)
        after.apply(same)

    assert before.encode() == after.encode()


# -- the list ------------------------------------------------------------------------------------------------

_JSON_WORDS: Final = (b'{"', b'":', b"null", b"true", b"1e400", b"-0", b"-0.0", b"9007199254740993", b'"\\ud800"')

_STATE_SEEDS: Final = (
    b"{}",
    b'{"n":5,"s":{"\\"a\\"":true,"1":true},"m":{"\\"k\\"":{"x":[1.5,null]}},"l":[1,"two",[3]],"t":"text"}',
    b'{"im":{"\\"a\\u003cb\\"":9223372036854775807,"[1,2]":-1,"1e+21":0},"o":{"foreign":1,"\\"k\\"":"\\":"}}',
    b'{"":-0.0,"big":123456789012345678901234567890,"u":"\\ud83d\\ude00"}',
)
_RECORD_SEED: Final = b'{"x":1,".metadatadb":{"format":1,"commits":7,"floor":2,"writers":{"w1":[3,7],"w2":[1,4]}}}'
_OPS_SEEDS: Final = (
    b'[{"op":"IntAdd","Key":"n","Delta":1},{"op":"ListAppend","Key":"l","Value":[1,{"a":null}]}]',
    b'[{"op":"MapSet","Key":"m","MapKey":{"b":1,"a":2.5},"Value":-0},{"op":"SetAdd","Key":"s","Member":1e+21}]',
    b'[{"op":"IntMapDiv","Key":"m","MapKey":"k","Divisor":-3},{"op":"ScalarDelete","Key":"n"}]',
)
_OPS_WORDS: Final = (*_JSON_WORDS, b'"op":', b'"IntMul"', b'"Factor":', b'"MapKey":', b'"Key":', b'"Value":')
_SPOOL_SEEDS: Final = (
    b'ops [{"op":"IntAdd","Key":"n","Delta":1}]\nseal {"writer":"w","sequence":7}\nattempt 41',
    b'ops [{"op":"ListAppend","Key":"l","Value":1}]\nops [{"op":"ListAppend","Key":"l","Value":2}]',
)
_SPOOL_WORDS: Final = (*_OPS_WORDS, b"\nops ", b"\nseal ", b"\nattempt ", b'"sequence":', b"\n")

TARGETS: Final = (
    Target("state", _state, ("CorruptStateError",), _STATE_SEEDS, _JSON_WORDS),
    Target(
        "replay",
        _replay,
        ("CorruptStateError", "InvalidValueError"),
        tuple(state + b"\n" + written for state in _STATE_SEEDS for written in _OPS_SEEDS),
        _OPS_WORDS,
    ),
    Target(
        "head",
        _head,
        ("CorruptStateError", "UnsupportedFormatError"),
        (_RECORD_SEED, *_STATE_SEEDS),
        (*_JSON_WORDS, b'".metadatadb":', b'"writers":', b'"format":', b'"commits":', b'"floor":'),
    ),
    Target("lock", _lock, (), (b'{"nonce":"abc","ttl":30}', b"locked"), (*_JSON_WORDS, b'"nonce":', b'"ttl":')),
    Target("spool-file", _spool_file, ("UnsupportedFormatError",), tuple(map(_spool, _SPOOL_SEEDS)), _SPOOL_WORDS),
    Target("spool-records", _spool_records, (), _SPOOL_SEEDS, _SPOOL_WORDS),
    Target(
        "spool-directory",
        _spool_directory,
        (),
        (
            b"\x00~".join(_SPOOL_SEEDS),
            b"~" + _SPOOL_SEEDS[0],
            b"!" + _spool(_SPOOL_SEEDS[0]) + b"\x00" + _SPOOL_SEEDS[1],
        ),
        (*_SPOOL_WORDS, b"\x00", b"\x00!", b"\x00~"),
    ),
    Target(
        "hcl",
        _hcl,
        ("ConfigError",),
        (
            b'metadata example {\n  host = "h-${A}"\n  lock-ttl = "30s"\n  ports = [1, -2]\n}\n',
            b'host = "\\u0041$$"\nlabels = {\n  a = ["x"]\n  "b" : []\n}\n# comment\n',
            b'metadata "example" {\n  host = <<-E\n    $A\n      two\n    E\n  max-pending-ops = (5)\n}\n',
            b'host = file("/etc/passwd")\npassword = x.y[0]\nports = [for p in q : p + 1 if p]\nspool = true ? 1 : 2\n',
        ),
        (
            b"<<E\n",
            b"\nE\n",
            b"${",
            b"$${",
            b"%{",
            b"%{if a}",
            b"${A}",
            b"metadata",
            b"/*",
            b"*/",
            b"...",
            b"=>",
            b"??",
        ),
    ),
    Target(
        "hcl-file", _hcl_file, ("ConfigError",), (b"\xef\xbb\xbfa = 1\r\n", b'a = "\xc3\xa9"\n'), (b"\xef\xbb\xbf",)
    ),
    Target(
        "url",
        _url,
        ("ConfigError", "BackendNotFoundError", "PluginError"),
        (
            b"example://user:pw@host:6379/0?lock-ttl=10s&spool-fsync=always",
            b"example://?labels=%7B%22a%22%3A%5B%22b%22%5D%7D&ports=[1,2]&host=$A",
            b"example://[::1]:80/path#fragment",
        ),
        (b"://", b"%00", b"%ff", b"?", b"&", b"=", b"@", b"${A}", b"max-pending-ops=", b"labels={", b"ports=["),
    ),
    Target("duration", _duration, ("ConfigError",), (b"1m30s", b"500ms", b"-1.5h", b".5us"), (b"ns", b"h", b".", b"9")),
    Target("variables", _variables, (), (b"${A} and $HOME, $$5", b"${ A }"), (b"$", b"${", b"}", b"$$", b" ")),
    Target("key", _key, (), (b'"a"', b"42", b"1e+21", b"[1,2.5]", b'{"a":null,"b":[]}', b"-0"), _JSON_WORDS),
    Target("members", _members, (), (b'"a"\n"b"\n1', b'"a"\n"\\u003c"\nforeign', b'":"\n","\n"{"'), _JSON_WORDS),
    Target("ops", _ops, ("InvalidValueError",), _OPS_SEEDS, _OPS_WORDS),
)
"""Every target."""
