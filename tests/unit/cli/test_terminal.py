"""The command as a process: pipes, signals, a real terminal, and a machine without the extra."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from metadatadb_core import Store
from tests.support.contents import keys
from tests.unit.cli.conftest import Command, OpenTerminal, Terminal
from tests.unit.cli.test_status import put_lock

InProcess = Callable[..., subprocess.CompletedProcess[str]]

_DEADLINE_SECONDS: Final = 60.0
_COMMAND: Final = (sys.executable, "-m", "metadatadb_core.cli")

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")


@pytest.fixture
def filled(target: str, store: Store) -> str:
    """A store with a long set in it."""
    jobs = store.namespace("jobs")
    with jobs.batch():
        for number in range(20_000):
            jobs.set("done").add(f"member-{number:05}")
    jobs.int("runs").add(1)
    jobs.flush()
    return target


class TestWithoutTheExtra:
    """A core without click and rich."""

    def run(self, *blocked: str) -> subprocess.CompletedProcess[str]:
        """As on a machine where those modules are not installed."""
        program = (
            f"import sys; sys.modules.update(dict.fromkeys({list(blocked)!r})); import metadatadb_core.cli as cli; "
            "cli.main()"
        )
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    @pytest.mark.parametrize("blocked", ["click", "rich"])
    def test_it_says_how_to_get_it(self, blocked: str) -> None:
        """One line, and the status of one who used it wrongly."""
        ended = self.run(blocked)

        assert (2, "", "The metadatadb command needs an extra: pip install 'metadatadb-core[cli]'\n") == (
            ended.returncode,
            ended.stdout,
            ended.stderr,
        )

    def test_another_module_that_is_missing_is_not_taken_for_it(self) -> None:
        """That would be a bug of ours, or a broken installation."""
        ended = self.run("msgspec")

        assert "ModuleNotFoundError" in ended.stderr


def test_importing_the_core_imports_nothing_of_the_command() -> None:
    """Whoever uses the library pays nothing for it."""
    program = "import sys, metadatadb_core; print(sorted({'click', 'rich', 'metadatadb_core.cli'} & set(sys.modules)))"

    assert "[]\n" == subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes and signals")
class TestPipes:
    """What reads the output may stop before its end."""

    @pytest.mark.parametrize("words", ["show jobs done", "show jobs done --json", "show jobs --json"])
    def test_a_pipe_that_is_closed_early_ends_it_quietly(self, words: str, filled: str) -> None:
        """As SIGPIPE would: no traceback, and the status that shells report of it."""
        with subprocess.Popen(
            [*_COMMAND, *words.split(), "-t", filled], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            if words == "show jobs done":
                assert b"member-00000\n" == process.stdout.readline()
            process.stdout.close()
            said = process.stderr.read().decode()

        assert "Traceback" not in said
        assert "Exception ignored" not in said
        assert 141 == process.returncode

    def test_nobody_who_reads_the_errors_changes_nothing(self) -> None:
        """The status is what it would have been."""
        with subprocess.Popen([*_COMMAND, "plugins", "--nothing"], stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            process.stderr.close()

        assert 2 == process.returncode

    def test_what_is_piped_is_neither_coloured_nor_folded(self, filled: str, in_process: InProcess) -> None:
        """However narrow the terminal is that is not there."""
        said = in_process("namespaces", "-t", filled)

        assert 2 == len(said.stdout.splitlines())
        assert "\x1b" not in said.stdout + said.stderr

    def test_the_help_may_be_cut_as_well(self) -> None:
        """``metadatadb --help | head -1``."""
        ended = subprocess.run(
            ["bash", "-c", f"{' '.join(_COMMAND)} --help | head -1"], capture_output=True, text=True, check=False
        )

        assert ("Usage: metadatadb [OPTIONS] COMMAND [ARGS]...\n", "") == (ended.stdout, ended.stderr)


class TestInterrupts:
    """Ctrl-C."""

    def test_apply_leaves_nothing_half_done(self, target: str, terminal: OpenTerminal, metadatadb: Command) -> None:
        """While it waits for somebody's lock: the ops are given up."""
        put_lock(target, "jobs", b'{"nonce":"somebody","ttl":3600}')
        screen = terminal("apply", "jobs", "int-add", "n", "1", "-t", target)
        screen.wait_for("applying to sqlite")
        screen.press("\x03")

        assert 130 == screen.wait()
        assert "error: interrupted; nothing was applied\n" in screen.plain
        assert "Traceback" not in screen.plain
        assert 0 == metadatadb("unlock", "jobs", "--force", "--yes", "-t", target).status
        assert "holds no namespace" in metadatadb("namespaces", "-t", target).out

    def test_apply_reading_from_the_terminal_applies_nothing(self, target: str, terminal: OpenTerminal) -> None:
        """What was typed so far is dropped."""
        screen = terminal("apply", "jobs", "-t", target)
        screen.wait_for("reading ops")
        screen.press('{"op":"IntAdd","Key":"n","Delta":1}\n\x03')

        assert 130 == screen.wait()
        assert "error: interrupted\n" in screen.plain

    def test_unlock_leaves_the_lock(self, target: str, terminal: OpenTerminal, metadatadb: Command) -> None:
        """While it waits for its time to be over."""
        put_lock(target, "jobs", b'{"nonce":"somebody","ttl":3600}')
        screen = terminal("unlock", "jobs", "-t", target)
        screen.wait_for("waiting for the lock")
        screen.press("\x03")

        assert 130 == screen.wait()
        assert "error: interrupted; the lock is as it was\n" in screen.plain
        assert "held by somebody" in metadatadb("status", "jobs", "-t", target).out

    @pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
    def test_at_a_question_it_begins_a_new_line(self, key: str, target: str, terminal: OpenTerminal) -> None:
        """What is said does not stand behind the question."""
        put_lock(target, "jobs", b'{"nonce":"somebody","ttl":3600}')
        screen = terminal("unlock", "jobs", "--force", "-t", target)
        screen.wait_for("[y/N]: ")

        assert 130 == screen.press_until_it_ends(key)
        assert "\nerror: interrupted\n" in screen.plain

    def test_whoever_presses_it_twice_need_not_wait(self, terminal: OpenTerminal) -> None:
        """A request that hangs cannot be ended; the process can."""
        program = (
            "import threading; from metadatadb_core.cli.signals import Signals\n"
            "from metadatadb_core.cli.waiting import apart\n"
            "def hang():\n"
            "    print('under way', flush=True); threading.Event().wait()\n"
            "with Signals().held(lambda: print('ending', flush=True)):\n"
            "    apart(hang)"
        )
        screen = Terminal("-c", program)
        try:
            screen.wait_for("under way")
            screen.press("\x03")
            screen.wait_for("ending")
            screen.press("\x03")

            assert 130 == screen.wait()
            assert "may or may not have taken effect" in screen.plain
        finally:
            screen.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
class TestSignals:
    """What a supervisor sends, or a terminal that is closed."""

    @pytest.fixture
    def watch(self, target: str, store: Store) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on until it is told to end; SIGHUP is ignored when it starts."""
        store.namespace("jobs").int("runs").add(1)
        store.namespace("jobs").flush()
        words = ["show", "jobs", "runs", "--watch", "--interval", "0.1", "-t", target]
        with subprocess.Popen(
            ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *_COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert "1\n" == process.stdout.readline()
            yield process
            process.kill()

    def test_it_ends_a_command_as_ctrl_c_does(self, watch: subprocess.Popen[str]) -> None:
        """With a status of its own, as shells report it; no traceback, and no sudden death."""
        watch.send_signal(signal.SIGTERM)
        _, said = watch.communicate(timeout=_DEADLINE_SECONDS)

        assert 143 == watch.returncode
        assert ["jobs runs: Int or Scalar, 1 B"] == said.splitlines()

    def test_one_that_is_ignored_stays_so(self, watch: subprocess.Popen[str], store: Store) -> None:
        """Under nohup the terminal may be closed."""
        watch.send_signal(signal.SIGHUP)
        store.namespace("jobs").int("runs").add(1)
        store.namespace("jobs").flush()

        assert watch.stdout is not None
        assert "2\n" == watch.stdout.readline()

    def test_one_that_is_sent_twice_means_the_same(self) -> None:
        """`timeout` does so: to the process, and to its group. Nothing is broken off."""
        program = (
            "import sys; from metadatadb_core.cli.signals import Signals\n"
            "from metadatadb_core.cli.waiting import apart\n"
            "signals = Signals()\n"
            "def work():\n"
            "    print('under way', flush=True); sys.stdin.readline()\n"
            "with signals.held(lambda: print('ending', flush=True)) as stop:\n"
            "    apart(work); print(stop.is_set())\n"
            "sys.exit(signals.status)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert "under way\n" == process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            assert "ending\n" == process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGHUP)
            out, _ = process.communicate("\n", timeout=_DEADLINE_SECONDS)

        assert (129, "True\n") == (process.returncode, out)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such redirections")
class TestStreams:
    """Standard streams that are closed, or cannot be written."""

    def run(self, words: str, redirections: str) -> subprocess.CompletedProcess[str]:
        """As a shell does."""
        return subprocess.run(
            ["bash", "-c", f'"$@" {redirections}', "bash", *_COMMAND, *words.split()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
            check=False,
        )

    @linux_only
    @pytest.mark.parametrize("words", ["plugins", "--help", "show --help", "completion bash", "export -t memory://"])
    def test_a_full_disk_is_told(self, words: str, filled: str) -> None:
        """With a status that means nothing else."""
        ended = self.run(words.replace("memory://", filled), ">/dev/full")

        assert 74 == ended.returncode
        assert "error: standard output cannot be written: No space left on device" == ended.stderr.splitlines()[-1]
        assert "Traceback" not in ended.stderr

    @linux_only
    @pytest.mark.parametrize("form", ["", " --json"])
    def test_what_was_applied_is_told_to_be(self, form: str, target: str, metadatadb: Command) -> None:
        """Whoever applied it again would do so twice."""
        ended = self.run(f"apply jobs int-add runs 1 -t {target}{form}", ">/dev/full")

        assert 74 == ended.returncode
        assert "1 op applied, but standard output cannot be written" in ended.stderr
        assert 1 == metadatadb("show", "jobs", "runs", "-t", target, "--json").document["stored"]

    @linux_only
    @pytest.mark.parametrize(("words", "status"), [("apply jobs int-add runs 1", 0), ("apply jobs int-ad runs 1", 2)])
    @pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
    def test_words_that_cannot_be_written_change_nothing(
        self, words: str, status: int, redirection: str, target: str
    ) -> None:
        """They stand beside the result."""
        assert status == self.run(f"{words} -t {target}", redirection).returncode

    @pytest.mark.parametrize(
        ("words", "said"), [("apply jobs", "no op was given"), ("import -", "-: line 1: the file was cut off")]
    )
    def test_no_input_at_all_is_an_empty_one(self, words: str, said: str, target: str) -> None:
        """It is said what is missing."""
        ended = self.run(f"{words} -t {target}", "<&-")

        assert (2, 1) == (ended.returncode, len(ended.stderr.splitlines()))
        assert said in ended.stderr

    def test_an_input_that_cannot_be_read_is_told(self, target: str, tmp_path: Path) -> None:
        """One that is open for writing alone, say."""
        ended = self.run(f"apply jobs -t {target}", f"0>{tmp_path / 'file'}")

        assert 2 == ended.returncode
        assert ended.stderr.startswith("error: standard input cannot be read: ")

    @linux_only
    @pytest.mark.parametrize("words", ["plugins", "--help"])
    def test_a_full_disk_is_told_without_buffers(self, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """At the first word."""
        monkeypatch.setenv("PYTHONUNBUFFERED", "1")

        assert 74 == self.run(words, ">/dev/full").returncode

    @pytest.mark.parametrize("redirections", [">&-", "<&- >&- 2>&-"])
    def test_an_output_that_is_closed_is_as_none(
        self, redirections: str, target: str, store: Store, metadatadb: Command
    ) -> None:
        """And no file takes its place, to be printed into."""
        ended = self.run(f"apply jobs int-add runs 1 -t {target}", redirections)
        store.namespace("jobs").flush()

        assert 0 == ended.returncode
        assert 1 == store.namespace("jobs").int("runs").get()

    def test_a_doctor_whom_nobody_listens_to_any_more_cleans_up(self, target: str) -> None:
        """`metadatadb doctor ... | head -6`: what it has written until then is removed."""
        with subprocess.Popen([*_COMMAND, "doctor", target], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while b"pass put:" not in process.stdout.readline():
                pass
            process.stdout.close()

        assert (141, []) == (process.returncode, keys(target))


class TestWatching:
    """`show --watch`."""

    def test_it_is_drawn_anew_when_a_replica_writes(self, target: str, store: Store, terminal: OpenTerminal) -> None:
        """Until Ctrl-C, which is how watching ends."""
        jobs = store.namespace("jobs")
        jobs.int("runs").add(41)
        jobs.flush()
        screen = terminal("show", "jobs", "--watch", "--interval", "0.1", "-t", target)
        screen.wait_for("41")
        jobs.int("runs").add(1)
        jobs.flush()
        screen.wait_for("42")
        screen.press("\x03")

        assert 130 == screen.wait()
        assert "error" not in screen.plain

    def test_a_name_that_is_longer_than_the_screen_is_cut(self, filled: str, terminal: OpenTerminal) -> None:
        """Nothing scrolls away."""
        screen = terminal("show", "jobs", "done", "-w", "-t", filled, rows=10)
        screen.wait_for("member-00007")
        screen.press("\x03")

        assert 130 == screen.wait()
        assert "member-00009" not in screen.plain

    def test_programs_get_a_line_whenever_it_changes(self, target: str, store: Store) -> None:
        """And first what there is: here nothing, which is waited for."""
        with subprocess.Popen(
            [*_COMMAND, "show", "jobs", "runs", "--watch", "--interval", "0.1", "--json", "-t", target],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            seen = [msgspec.json.decode(process.stdout.readline())]
            for _ in range(2):
                store.namespace("jobs").int("runs").add(1)
                store.namespace("jobs").flush()
                seen.append(msgspec.json.decode(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=_DEADLINE_SECONDS)

        assert [None, 1, 2] == [one.get("stored") for one in seen]
        assert (130, b"") == (process.returncode, said)


class TestScreen:
    """Colours and width."""

    def test_a_terminal_gets_colours(self, terminal: OpenTerminal) -> None:
        """Green for what is fine."""
        screen = terminal("plugins", env={"COLORTERM": ""})

        assert 0 == screen.wait()
        assert "\x1b[32mok" in screen.text

    def test_no_color_is_honoured(self, terminal: OpenTerminal) -> None:
        """Whatever the terminal can do (https://no-color.org)."""
        screen = terminal("plugins", env={"NO_COLOR": "1"})

        assert 0 == screen.wait()
        assert [] == re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", screen.text)

    @pytest.mark.parametrize("size", ["0", "1", "²", "many"])
    def test_a_size_that_cannot_be_is_not_believed(self, size: str, terminal: OpenTerminal) -> None:
        """Some shells and editors export one: the terminal itself knows better."""
        screen = terminal("plugins", env={"COLUMNS": size, "LINES": size})

        assert 0 == screen.wait()
        assert "memory  metadatadb-memory" in screen.plain

    @pytest.mark.parametrize("words", ["plugins", "namespaces", "show jobs", "show jobs builds", "status", "--help"])
    def test_nothing_is_wider_than_a_narrow_terminal(
        self, words: str, target: str, store: Store, terminal: OpenTerminal
    ) -> None:
        """Forty columns: the terminal itself would break lines anywhere."""
        jobs = store.namespace("jobs")
        jobs.map("builds").set("api", {"commit": "4f1c2ab", "words": ["a", "b", "c"] * 3})
        jobs.scalar("a-name-that-is-rather-long").set("a value that is rather long as well, and goes on")
        jobs.flush()
        screen = terminal(*words.split(), columns=40, env={"METADATADB_TARGET": target})
        status = screen.wait()

        assert 0 == status
        lines = screen.plain.partition("Examples:")[0].splitlines()  # an example is typed as it stands
        assert [] == [line for line in lines if len(line) > 40]
