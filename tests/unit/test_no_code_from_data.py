"""Nothing that ships turns data into code, or runs a program: what is stored is read as JSON, and as nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = sorted(
    path
    for package in (ROOT / "metadatadb_core", *ROOT.glob("plugins/*/metadatadb_*"))
    for path in package.rglob("*.py")
)

MODULES: Final = {
    *("pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib", "yaml", "dbm"),
    *("subprocess", "ctypes", "cffi", "code", "codeop", "runpy", "pty"),
}
BUILTINS: Final = {"eval", "exec", "compile", "__import__"}
OF_OS: Final = {"system", "popen", "startfile", "posix_spawn", "posix_spawnp", "memfd_create"}
OF_OS_BEGINNINGS: Final = ("exec", "spawn")
LOADERS: Final = {"Lark.load", "pickle.load", "pickle.loads", "marshal.load", "marshal.loads"}

ALLOWED: Final = {
    # Only asks whether an attribute of an error can be pickled; never loads anything.
    ("metadatadb_core/errors.py", "import pickle"),
    # HCL's grammar as lark has saved it, from a directory that is this user's alone: see docs/security.md.
    ("metadatadb_core/hcl_grammar.py", "Lark.load"),
    # Servers for tests, which are started where a program's author asks for one.
    ("plugins/metadatadb_gcs/metadatadb_gcs/testing.py", "import subprocess"),
    ("plugins/metadatadb_s3/metadatadb_s3/testing.py", "import subprocess"),
}


def dangers(source: str) -> Iterator[str]:
    """What in a module could make code of data, or run a program."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                found = [module, *(f"{module}.{name.name}" for name in names)]
            case ast.Name(id=name) if name in BUILTINS:
                yield name
                continue
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in OF_OS or name.startswith(
                OF_OS_BEGINNINGS
            ):
                yield f"os.{name}"
                continue
            case ast.Attribute(value=ast.Name(id=holder) | ast.Attribute(attr=holder), attr=name):
                if f"{holder}.{name}" in LOADERS:
                    yield f"{holder}.{name}"
                continue
            case _:
                continue
        for module in found:
            parts = module.split(".")
            if parts[0] in MODULES or module in MODULES:
                yield f"import {module}"
            if parts[0] == "os" and len(parts) == 2 and (parts[1] in OF_OS or parts[1].startswith(OF_OS_BEGINNINGS)):
                yield module


def test_what_ships_makes_no_code_of_data() -> None:
    """But for what is named here, each with its reason; a reason that is not needed any more goes."""
    found = {(path.relative_to(ROOT).as_posix(), danger) for path in SHIPPED for danger in dangers(path.read_text())}

    assert ALLOWED == found


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "import pickle"),
        ("from pickle import loads", "import pickle"),
        ("from yaml import load", "import yaml.load"),
        ("def f(x):\n    import marshal", "import marshal"),
        ("x = eval(y)", "eval"),
        ("f = exec", "exec"),
        ("__import__('os')", "__import__"),
        ("import os\nos.system('x')", "os.system"),
        ("import os\nos.execv('x', [])", "os.execv"),
        ("from os import popen", "os.popen"),
        ("import lark\nlark.Lark.load(f)", "Lark.load"),
        ("import subprocess as s", "import subprocess"),
    ],
)
def test_what_is_looked_for_is_found(source: str, danger: str) -> None:
    """However it is imported."""
    assert danger in set(dangers(source))


def test_all_that_ships_is_looked_at() -> None:
    """The core and every plugin."""
    packages = {
        path.relative_to(ROOT).parts[: 1 if path.is_relative_to(ROOT / "metadatadb_core") else 2] for path in SHIPPED
    }

    assert {("metadatadb_core",), *(("plugins", path.name) for path in ROOT.glob("plugins/*"))} == packages
