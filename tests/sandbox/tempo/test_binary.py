from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coinslot.errors import ConfigurationError
from coinslot.sandbox.tempo import anvil_binary

# Takes the time that a download takes, and leaves what npm would leave.
SLOW_NPM = """#!/bin/sh
sleep 0.3
bin="$3/node_modules/@foundry-rs/anvil-linux-amd64/bin"
mkdir -p "$bin" && printf '#!/bin/sh\\n' > "$bin/anvil" && chmod +x "$bin/anvil"
"""
FAILING_NPM = """#!/bin/sh
echo 'npm error code ENOTFOUND' >&2
exit 1
"""
EMPTY_NPM = "#!/bin/sh\nmkdir -p $3/node_modules\n"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without an installation."""
    monkeypatch.delenv("COINSLOT_ANVIL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coinslot"


def use_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None) -> None:
    """Put this npm, or none, first on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if script is None:
        monkeypatch.setenv("PATH", str(programs))
        return
    npm = programs / "npm"
    npm.write_text(script)
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def test_a_named_program_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """`COINSLOT_ANVIL` is used as it is, if it is a program."""
    monkeypatch.setenv("COINSLOT_ANVIL", "/bin/sh")
    assert anvil_binary() == Path("/bin/sh")


@pytest.mark.parametrize("named", ["/nowhere/anvil", "/", "/etc/passwd"])
def test_a_named_program_has_to_be_one(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """What is no program is an error that names it."""
    monkeypatch.setenv("COINSLOT_ANVIL", named)
    with pytest.raises(ConfigurationError, match=f"COINSLOT_ANVIL names {named}"):
        anvil_binary()


def test_it_is_installed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path) -> None:
    """The first call installs and says so; the second finds it, npm or not."""
    use_npm(monkeypatch, tmp_path, SLOW_NPM)
    said: list[str] = []
    first = anvil_binary(said.append)
    assert first.is_relative_to(own_cache)
    assert len(said) == 1
    monkeypatch.setenv("PATH", "")
    assert anvil_binary(said.append) == first
    assert len(said) == 1


def test_two_processes_may_install_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path
) -> None:
    """Processes that start together all get the same program, and leave nothing beside it."""
    use_npm(monkeypatch, tmp_path, SLOW_NPM)
    code = "from coinslot.sandbox.tempo import anvil_binary; print(anvil_binary())"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    (path,) = answers
    assert Path(path).exists()
    assert [each.name for each in own_cache.iterdir()] == ["anvil-1.7.1"]


def test_without_npm_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No npm and nothing installed is an error with both ways out."""
    use_npm(monkeypatch, tmp_path, None)
    with pytest.raises(ConfigurationError, match=r"needs npm .* or set COINSLOT_ANVIL"):
        anvil_binary()


@pytest.mark.parametrize(
    ("script", "reason"), [(FAILING_NPM, "ENOTFOUND"), (EMPTY_NPM, "without a program for this platform")]
)
def test_a_failed_installation_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    """What npm said is in the error."""
    use_npm(monkeypatch, tmp_path, script)
    with pytest.raises(ConfigurationError, match=reason):
        anvil_binary()
