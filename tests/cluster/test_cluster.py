"""Replicas on hosts of their own, over links that delay and lose: they outlive a partition, and agree after it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from metadatadb_s3.testing import moto_credentials
from tests.cluster.network import Host, Network, network, why_not
from tests.cluster.replica import NAMESPACE, View
from tests.support.engine import wait_until

ROOT = Path(__file__).parents[2]
REASON = why_not()
REPLICAS = ("a", "b", "c")
SERVER = "server"

pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


class Replica:
    """A replica on its host, and what it has said last."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.view = View(0, {})
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.view = msgspec.json.decode(line, type=View)

    def tell(self) -> None:
        """It is to go on to what comes next."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def foreign(self, own: str) -> int:
        """How many writes of the others it sees."""
        return sum(count for name, count in self.view.seen.items() if name != own)

    def end(self) -> None:
        """Wait for its end."""
        self.process.wait(60)
        self._listener.join()


@contextmanager
def running(host: Host, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program on `host`, gone afterwards."""
    command = host.command(sys.executable, *words)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def s3_server(host: Host) -> Iterator[str]:
    """The URL of an S3 server on `host`, with a bucket."""
    with running(host, "-m", "metadatadb_s3.testing", host.address) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        make = f"import boto3; boto3.client('s3', endpoint_url={url!r}).create_bucket(Bucket='cluster')"
        subprocess.run(host.command(sys.executable, "-c", make), check=True)
        yield url


@contextmanager
def cluster(seed: int) -> Iterator[tuple[Network, dict[str, Replica], Callable[[], set[str]]]]:
    """Replicas that write, the network between them and their store, and what says which objects are in that."""
    with ExitStack() as stack:
        stack.enter_context(moto_credentials())
        between, hosts = stack.enter_context(network([SERVER, *REPLICAS], delay=(0.005, 0.02), loss=0.02, seed=seed))
        endpoint = stack.enter_context(s3_server(hosts[SERVER]))
        url = f"s3://cluster?endpoint-url={endpoint}&sync-interval=200ms&lock-ttl=3s"
        replicas = {}
        for name in REPLICAS:
            replica = Replica(stack.enter_context(running(hosts[name], "-m", "tests.cluster.replica", url, name)))
            stack.callback(replica._listener.join)
            stack.callback(replica.process.kill)
            replicas[name] = replica

        def objects() -> set[str]:
            listing = (
                f"import boto3; client = boto3.client('s3', endpoint_url={endpoint!r})\n"
                "print(*(found['Key'] for found in client.list_objects_v2(Bucket='cluster')['Contents']), sep='\\n')"
            )
            said = subprocess.run(
                hosts[SERVER].command(sys.executable, "-c", listing), check=True, stdout=subprocess.PIPE, text=True
            )
            return set(said.stdout.split())

        yield between, replicas, objects


def test_a_cluster_goes_on_through_a_partition_and_agrees_after_it() -> None:
    """One replica is cut off from the store: the others write on and see each other, and it serves its own reads and
    takes writes. Once the network is whole again all see the same, with every write in it once, and no lock is left."""
    with cluster(seed=1) as (between, replicas, objects):
        lone, others = replicas["a"], ("b", "c")
        wait_until(lambda: all(replica.foreign(name) > 20 for name, replica in replicas.items()), "all see all")
        between.part("a")
        wait_until(lambda: lone.view.failures > 0, "the one that is cut off notices")
        alone = lone.view
        before = {name: replicas[name].foreign(name) for name in others}
        wait_until(lambda: all(replicas[name].foreign(name) > before[name] + 50 for name in others), "the others go on")
        wait_until(lambda: lone.view.written > alone.written + 50, "the one that is cut off takes writes")
        still_alone = lone.view
        between.part()
        for replica in replicas.values():
            replica.tell()
        wait_until(lambda: all(replica.view.flushed for replica in replicas.values()), "all have flushed")
        for replica in replicas.values():
            replica.tell()
        for replica in replicas.values():
            replica.end()
        views = [replica.view for replica in replicas.values()]
        left = objects()

    written = {name: replica.view.written for name, replica in replicas.items()}
    assert [0, 0, 0] == [replica.process.returncode for replica in replicas.values()]
    assert {name: count for name, count in alone.seen.items() if name != "a"} == {
        name: count for name, count in still_alone.seen.items() if name != "a"
    }
    assert [written] * 3 == [view.seen for view in views]
    assert views[0].log == views[1].log == views[2].log
    assert sorted(f"{name}-{number}" for name in REPLICAS for number in range(1, written[name] + 1)) == sorted(
        views[0].log
    )
    assert {f".metadata/{NAMESPACE}.json"} == {key for key in left if "/.probe-" not in key}
    assert between.lost > 0


def test_the_network_loses_what_it_is_told_to() -> None:
    """A partition lets nothing through, and its end does."""
    ask = "import socket, sys; socket.create_connection((sys.argv[1], 80), 0.3)"
    with network(["a", "b"], delay=(0.0, 0.001), loss=0.0, seed=1) as (between, hosts):
        command = hosts["a"].command(sys.executable, "-c", ask, hosts["b"].address)
        refused = subprocess.run(command, capture_output=True, text=True).stderr
        between.part("b")
        silent = subprocess.run(command, capture_output=True, text=True).stderr
        between.part()
        refused_again = subprocess.run(command, capture_output=True, text=True).stderr

    assert ("refused" in refused, "timed out" in silent, "refused" in refused_again) == (True, True, True)
    assert not Path("/run/netns", hosts["a"].namespace).exists()
