"""Hosts in network namespaces, and between them a network that delays and loses packets as it is told to.

Each host is a namespace of the kernel (``ip netns``) with one TUN device; all packets that its TCP stack sends come
out here, and are passed on to the host they are for: late, or not at all. So it takes no module of the kernel for
that, which many do not have, and a partition is a set of names.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import random
import secrets
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

__all__ = ["Host", "Network", "network", "why_not"]

_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_CLONE_NEWNET: Final = 0x40000000
_DEVICE: Final = "tun0"
_PACKET_BYTES: Final = 65536
_DESTINATION: Final = slice(16, 20)
"""Where in an IPv4 packet its destination is."""


def why_not() -> str | None:
    """Why there can be no such network here, or None."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    if not _TUN.exists():
        return "there is no /dev/net/tun"
    name = f"mdb-{secrets.token_hex(4)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"this system makes no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


@dataclass(frozen=True)
class Host:
    """A namespace.

    Attributes:
        name: what the network calls it.
        address: its IPv4 address.
        namespace: what the kernel calls it.
    """

    name: str
    address: str
    namespace: str

    def command(self, *words: str) -> list[str]:
        """`words` as a command that runs there."""
        return ["ip", "netns", "exec", self.namespace, *words]


@dataclass(order=True)
class _Packet:
    due: float
    number: int
    content: bytes = field(compare=False)
    device: int = field(compare=False)


@final
class Network:
    """What lies between the hosts.

    Args:
        devices: the descriptor of each host's device.
        delay: seconds that a packet takes, at least and at most.
        loss: the share of packets that are lost.
        seed: of both.

    Attributes:
        lost: how many packets were lost, to chance or to a partition.
    """

    def __init__(self, devices: dict[Host, int], *, delay: tuple[float, float], loss: float, seed: int) -> None:
        self.lost = 0
        self._delay = delay
        self._loss = loss
        self._chance = random.Random(seed)
        self._parted: frozenset[str] = frozenset()
        self._hosts = {device: host.name for host, device in devices.items()}
        self._devices = {socket.inet_aton(host.address): device for host, device in devices.items()}
        self._under_way: list[_Packet] = []
        self._number = 0
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def part(self, *names: str) -> None:
        """From now on nothing reaches the hosts of those names, nor comes from them; without names, all is well."""
        self._parted = frozenset(names)

    def close(self) -> None:
        """Carry nothing any more."""
        os.write(self._wake_writer, b".")
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _carry(self) -> None:
        while True:
            wait = max(0.0, self._under_way[0].due - time.monotonic()) if self._under_way else None
            ready, _, _ = select.select([*self._hosts, self._wake_reader], [], [], wait)
            if self._wake_reader in ready:
                return
            for device in ready:
                self._take(device)
            while self._under_way and self._under_way[0].due <= time.monotonic():
                packet = heapq.heappop(self._under_way)
                os.write(packet.device, packet.content)

    def _take(self, device: int) -> None:
        content = os.read(device, _PACKET_BYTES)
        target = self._devices.get(content[_DESTINATION])
        if target is None:
            return
        if self._parted & {self._hosts[device], self._hosts[target]} or self._chance.random() < self._loss:
            self.lost += 1
            return
        self._number += 1
        due = time.monotonic() + self._chance.uniform(*self._delay)
        heapq.heappush(self._under_way, _Packet(due, self._number, content, target))


@contextmanager
def network(
    names: Sequence[str], *, delay: tuple[float, float], loss: float, seed: int
) -> Iterator[tuple[Network, dict[str, Host]]]:
    """A network of hosts with those names; all of it is gone afterwards."""
    run = secrets.token_hex(4)
    hosts = [Host(name, f"10.77.0.{number}", f"mdb-{run}-{name}") for number, name in enumerate(names, 1)]
    with ExitStack() as stack:
        devices = {host: stack.enter_context(_device(host)) for host in hosts}
        between = Network(devices, delay=delay, loss=loss, seed=seed)
        stack.callback(between.close)
        yield between, {host.name: host for host in hosts}


@contextmanager
def _device(host: Host) -> Iterator[int]:
    _ip("netns", "add", host.namespace)
    try:
        device = _open_inside(host.namespace)
        try:
            inside = ("-n", host.namespace)
            _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "address", "add", f"{host.address}/24", "dev", _DEVICE)
            _ip(*inside, "link", "set", _DEVICE, "up")
            yield device
        finally:
            os.close(device)
    finally:
        _ip("netns", "delete", host.namespace)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _open_inside(namespace: str) -> int:
    """A new TUN device of the namespace. A thread enters it for that, and ends there."""
    import fcntl  # only here, so that the reason for a skip can be told where there is none

    made: list[int] = []

    def make() -> None:
        with Path("/run/netns", namespace).open("rb") as there:
            if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns failed")
        device = os.open(_TUN, os.O_RDWR)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
        made.append(device)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]
