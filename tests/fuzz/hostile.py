"""Inputs that are made to exhaust a reader: numbers that are too long, nesting that is too deep, one thing too often.

Each is a function of a size, and takes about so many bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["HOSTILE"]

Make = Callable[[int], bytes]

_JSON: Final[dict[str, Make]] = {
    "digits": lambda n: b'{"a":' + b"9" * n + b"}",
    "digits after the point": lambda n: b'{"a":0.' + b"9" * n + b"}",
    "digits of the exponent": lambda n: b'{"a":1e' + b"9" * n + b"}",
    "digits of a negative exponent": lambda n: b'{"a":1e-' + b"9" * n + b"}",
    "digits of a member": lambda n: b'{"a":{"\\"k\\"":' + b"9" * n + b"}}",
    "digits of a key": lambda n: b'{"a":{"' + b"9" * n + b'":1}}',
    "open arrays": lambda n: b'{"a":' + b"[" * n,
    "nested arrays": lambda n: b'{"a":' + b"[" * n + b"]" * n + b"}",
    "nested objects": lambda n: b'{"a":' * n + b"1" + b"}" * n,
    "arrays in a key": lambda n: b'{"a":{"' + b"[" * n + b"]" * n + b'":1}}',
    "a long string": lambda n: b'{"a":"' + b"x" * n + b'"}',
    "a long name": lambda n: b'{"' + b"x" * n + b'":1}',
    "lone surrogates": lambda n: b'{"a":"' + b"\\ud800" * n + b'"}',
    "zero bytes": lambda n: b"\x00" * n,
    "escaped zero bytes": lambda n: b'{"a":{"' + b"\\u0000" * n + b'":1}}',
    "byte order marks": lambda n: b"\xef\xbb\xbf" * n,
    "no UTF-8": lambda n: b'{"a":"' + b"\xff" * n + b'"}',
    "one name": lambda n: b"{" + b",".join([b'"a":{"\\"k\\"":1}'] * (n // 16)) + b"}",
    "one member": lambda n: b'{"a":{' + b",".join([b'"\\"k\\"":1'] * (n // 10)) + b"}}",
    "many names": lambda n: b"{" + b",".join(b'"%d":1' % i for i in range(n // 10)) + b"}",
    "many members": lambda n: b'{"a":{' + b",".join(b'"\\"%d\\"":":"' % i for i in range(n // 16)) + b"}}",
    "many foreign members": lambda n: b'{"a":{' + b",".join(b'"x%d":1' % i for i in range(n // 10)) + b"}}",
    "many writers": lambda n: (
        b'{".metadatadb":{"format":1,"commits":9,"floor":0,"writers":{'
        + b",".join(b'"%d":[1,1]' % i for i in range(n // 14))
        + b"}}}"
    ),
    "a huge lifetime": lambda n: b'{"nonce":"x","ttl":' + b"9" * min(n, 4000) + b"}",
}

_OPS: Final[dict[str, Make]] = {
    "digits": lambda n: b'[{"op":"IntAdd","Key":"n","Delta":' + b"9" * n + b"}]",
    "digits of a value": lambda n: b'[{"op":"ScalarSet","Key":"n","Value":[' + b"9" * n + b"]}]",
    "nested value": lambda n: b'[{"op":"ScalarSet","Key":"n","Value":' + b"[" * n + b"]" * n + b"}]",
    "open arrays": lambda n: b"[" * n,
    "fields, the last twice": lambda n: (
        b"[{" + b",".join(b'"%d":1' % min(i, n // 2 - 2) for i in range(n // 2)) + b"}]"
    ),
    "unknown fields": lambda n: b'[{"op":"IntAdd",' + b",".join(b'"%d":1' % i for i in range(n // 10)) + b"}]",
    "a long name of an op": lambda n: b'[{"op":"' + b"x" * n + b'"}]',
    "many ops": lambda n: b"[" + b",".join([b'{"op":"IntAdd","Key":"n","Delta":1}'] * (n // 36)) + b"]",
}

_TEXT: Final[dict[str, Make]] = {
    "digits": lambda n: b"1" * n,
    "digits and dots": lambda n: b"1." * n,
    "terms": lambda n: b"1h" * n,
    "units": lambda n: b"s" * n,
    "dollars": lambda n: b"$" * n,
    "open references": lambda n: b"${ " * n,
    "references": lambda n: b"${A}" * n,
    "names": lambda n: b"$" + b"A" * n,
    "open arrays": lambda n: b"[" * n,
    "nested arrays": lambda n: b"[" * n + b"]" * n,
    "minuses": lambda n: b"-" * n,
    "zero bytes": lambda n: b"\x00" * n,
    "lone surrogates": lambda n: b'["' + b"\\ud800" * n + b'"]',
    "lines": lambda n: b"\n" * n,
    "quotes": lambda n: b'"' * n,
    "colons": lambda n: b'":' * n,
}

_URL: Final[dict[str, Make]] = {
    "a long scheme": lambda n: b"a" * n + b"://",
    "a long host": lambda n: b"example://" + b"a" * n,
    "a long port": lambda n: b"example://h:" + b"9" * n,
    "at signs": lambda n: b"example://" + b"@" * n,
    "brackets": lambda n: b"example://" + b"[" * n,
    "parameters": lambda n: b"example://?" + b"&".join([b"host=x"] * (n // 7)),
    "percents": lambda n: b"example://?host=" + b"%41" * (n // 3),
    "half percents": lambda n: b"example://?host=" + b"%" * n,
    "a large number": lambda n: b"example://?max-pending-ops=" + b"9" * n,
    "nested lists": lambda n: b"example://?ports=" + b"[" * n,
    "a long duration": lambda n: b"example://?lock-ttl=" + b"1" * n,
    "surrogates": lambda n: b"example://?host=" + b"\xff" * n,
}

_HCL: Final[dict[str, Make]] = {
    "open lists": lambda n: b"a = " + b"[" * n,
    "nested lists": lambda n: b"a = " + b"[" * (n // 2) + b"]" * (n // 2) + b"\n",
    "open objects": lambda n: b"a = " + b"{a=" * (n // 3),
    "parentheses": lambda n: b"a = " + b"(" * (n // 2) + b"1" + b")" * (n // 2) + b"\n",
    "open interpolations": lambda n: b"a = " + b'"${' * (n // 3),
    "blocks": lambda n: b"a {" * (n // 3),
    "blank lines in an open heredoc": lambda n: b"a = <<E\n" + b"\n" * n,
    "blank lines in a heredoc": lambda n: b"a = <<E\n" + b"\n" * n + b"E\n",
    "blanks in an open heredoc": lambda n: b"a = <<E\n" + b" " * n + b"x\n",
    "blanks in a heredoc": lambda n: b"a = <<E\n" + b" " * n + b"x\nE\n",
    "a long string": lambda n: b'a = "' + b"x" * n + b'"\n',
    "dollars": lambda n: b'a = "' + b"$" * n + b'"\n',
    "percents": lambda n: b'a = "' + b"%" * n + b'"\n',
    "digits": lambda n: b"a = " + b"1" * n + b"\n",
    "attributes": lambda n: b"a=1\n" * (n // 4),
    "sums": lambda n: b"a = " + b"1+" * (n // 2) + b"1\n",
    "open comments": lambda n: b"/*" * (n // 2),
    "comments": lambda n: b"#\n" * (n // 2),
    "a bare duration": lambda n: b"a = " + b"1" * n + b"x\n",
    "too long": lambda n: b"a" * 100_000,
}

HOSTILE: Final[dict[str, dict[str, Make]]] = {
    "state": _JSON,
    "replay": {name: (lambda n, make=make: b"{}\n" + make(n)) for name, make in _OPS.items()},  # type: ignore[misc]
    "head": _JSON,
    "lock": _JSON,
    "spool-file": {"lines": lambda n: b"\n" * n, "one line": lambda n: b"x" * n},
    "spool-records": {
        **{name: (lambda n, make=make: b"ops " + make(n)) for name, make in _OPS.items()},  # type: ignore[misc]
        "a long sequence": lambda n: b'seal {"writer":"w","sequence":' + b"9" * n + b"}",
        "a long counter": lambda n: b"attempt " + b"9" * n,
        "nested seal": lambda n: b'seal {"writer":"w","sequence":1,"x":' + b"[" * n + b"]" * n + b"}",
    },
    "spool-directory": {"lines": lambda n: b"\n" * n, "bytes": lambda n: b"!" + b"x" * n},
    "hcl": _HCL,
    "hcl-file": {"a long comment": lambda n: b"#" + b"x" * n + b"\n", "too long": lambda n: b"#" * 100_000},
    "url": _URL,
    "duration": _TEXT,
    "variables": _TEXT,
    "key": _TEXT,
    "members": _TEXT,
    "ops": _OPS,
}
"""For each target, what is hostile to it."""
