"""The distributions of this workspace, built as users get them, and clean environments to install them in."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, *(path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml")))]
PLUGIN_NAMES = [path.name for path in PROJECTS[1:]]
THIRD_PARTY = Path(__file__).parent / "third_party"


def attempt(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run outside the checkout, with nothing of this process's Python settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def run(*command: str | Path, cwd: Path) -> str:
    """As `attempt`, and it must succeed; what it printed is the answer."""
    finished = attempt(*command, cwd=cwd)
    assert 0 == finished.returncode, f"{' '.join(map(str, command))}\n{finished.stdout}{finished.stderr}"
    return finished.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    """What is in a wheel, by path."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@dataclass(frozen=True)
class Built:
    """One distribution: what `build` made of it."""

    name: str
    version: str
    package: str
    wheel: Path
    sdist: Path

    @property
    def dist_info(self) -> str:
        return f"{self.package}-{self.version}.dist-info"

    def wheel_contents(self) -> dict[str, bytes]:
        """What is in the wheel, by path."""
        return contents(self.wheel)

    def wheel_files(self) -> list[str]:
        return list(self.wheel_contents())

    def sdist_files(self) -> list[str]:
        """Paths below the sdist's one top directory."""
        with tarfile.open(self.sdist) as archive:
            return [name.partition("/")[2] for name in archive.getnames()]

    def metadata(self) -> Message:
        return Parser().parsestr(self.wheel_contents()[f"{self.dist_info}/METADATA"].decode())

    def requirements(self) -> list[Requirement]:
        return [Requirement(line) for line in self.metadata().get_all("Requires-Dist", [])]

    def entry_points(self) -> Mapping[str, Mapping[str, str]]:
        """By group and name."""
        distribution = PathDistribution(zipfile.Path(self.wheel, f"{self.dist_info}/"))
        found: dict[str, dict[str, str]] = {}
        for point in distribution.entry_points:
            found.setdefault(point.group, {})[point.name] = point.value
        return found

    def extras(self) -> list[str]:
        return list(map(str, self.metadata().get_all("Provides-Extra", [])))

    def with_extras(self) -> str:
        """The wheel and all its extras, as an installer is asked for them."""
        return f"{self.wheel}[{','.join(self.extras())}]" if self.extras() else str(self.wheel)

    def extra_of(self, path: str) -> str:
        """The extra that a module of the wheel is part of, which is the one it is named after; "" for none."""
        for extra in self.extras():
            if path == f"{self.package}/{extra}.py" or path.startswith(f"{self.package}/{extra}/"):
                return extra
        return ""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing in it but what was asked for."""

    python: Path
    directory: Path

    def install(self, *requirements: str) -> None:
        # Byte code is made of what is imported, which of an SDK is little.
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-compile")
        run(*pip, "--disable-pip-version-check", *requirements, cwd=self.directory)

    def run(self, program: str) -> str:
        return run(self.python, "-I", "-W", "error", "-c", program, cwd=self.directory)


def environment_in(directory: Path) -> Environment:
    """The one that `new_environment` made there."""
    return Environment(directory / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python", directory)


def new_environment(directory: Path, *, over: Environment | None = None) -> Environment:
    """A virtual environment below `directory`, where its programs also run.

    Args:
        directory: where.
        over: what is installed in that environment is seen in this one too; None is nothing.
    """
    venv.create(directory / "venv", with_pip=False, symlinks=os.name != "nt")
    environment = environment_in(directory)
    if over is not None:
        below, own = (
            one.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip() for one in (over, environment)
        )
        (Path(own) / "below.pth").write_text(f"{below}\n", encoding="utf-8")
    return environment


def build(project: Path, output: Path) -> Built:
    """Make the sdist of `project`, and from that the wheel."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, project, cwd=output)
    return built_in(project, output)


def build_wheel(project: Path, output: Path) -> Path:
    """Make the wheel of `project` straight from its tree."""
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", output, project, cwd=output)
    (wheel,) = output.glob("*.whl")
    return wheel


def built_in(project: Path, output: Path) -> Built:
    """What `build` has made of `project` there."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return Built(declared["name"], declared["version"], declared["name"].replace("-", "_"), wheel, sdist)


def own_tests(plugin: Built, environment: Environment) -> str:
    """Run the tests in the plugin's sdist against what is installed; the output of pytest."""
    with tarfile.open(plugin.sdist) as archive:
        archive.extractall(environment.directory, filter="data")
    tests = environment.directory / plugin.sdist.name.removesuffix(".tar.gz") / "tests"
    temporary = f"--basetemp={environment.directory / 'pytest'}"
    said = run(environment.python, "-P", "-m", "pytest", "-q", temporary, tests, cwd=environment.directory)
    assert str(ROOT) not in said
    return said
