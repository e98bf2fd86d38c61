"""What a program does with the core and no plugin: a backend of its own, configured in HCL."""

from __future__ import annotations

from typing import Annotated, TypeVar

from msgspec import Meta

from metadatadb_core import Backend, BackendConfig, Duration, Registry, connect
from metadatadb_core.backend import check_namespace
from metadatadb_core.ops import IntAdd, MapSet, Op, ReadOp, SetAdd, admit, decode_ops, encode_ops
from metadatadb_core.state import NamespaceState

R = TypeVar("R")


class InlineConfig(BackendConfig):
    greeting: Annotated[str, Meta(description="What is stored at the start.")]
    patience: Duration = Duration("1m30s")


class InlineBackend(Backend):
    def __init__(self, config: InlineConfig) -> None:
        self.config = config
        self.state = NamespaceState()

    def apply(self, namespace: str, *ops: Op) -> None:
        check_namespace(namespace)
        for op in [admit(op) for op in ops]:
            self.state.apply(op)

    def query(self, namespace: str, op: ReadOp[R]) -> R:
        check_namespace(namespace)
        return self.state.query(op)

    def flush(self, namespace: str, *, timeout: float | None = None) -> None: ...

    def close(self, *, timeout: float | None = None) -> None: ...


ops: list[Op] = [IntAdd("runs", 2), SetAdd("tags", "a"), MapSet("owners", "job", {"pid": 7})]
registry = Registry()
registry.register("inline", "Lives in this program", InlineBackend, InlineConfig)

backend = registry.create("inline", 'metadata "inline" { greeting = "${WORD}"  patience = "2s" }', {"WORD": "hello"})
assert isinstance(backend, InlineBackend)
assert InlineConfig(greeting="hello", patience=Duration("2s")) == backend.config
backend.apply("jobs", *decode_ops(encode_ops(ops)))
assert b'{"runs":2,"tags":{"\\"a\\"":true},"owners":{"\\"job\\"":{"pid":7}}}' == backend.state.encode()

with connect("inline://?greeting=hello", registry=registry) as store:
    jobs = store.namespace("jobs")
    with jobs.batch():
        jobs.int("runs").add(3)
        jobs.list("log").append("done")
    jobs.map("owners", str, dict[str, int])["job"] = {"pid": 7}
    assert (3, ["done"], {"job": {"pid": 7}}) == (
        jobs.int("runs").get(),
        jobs.list("log").entries(),
        jobs.map("owners", str, dict[str, int]).entries(),
    )
