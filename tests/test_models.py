"""The shelf from the command line: flash, list, roll back, refuse."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import repack

from edge.__main__ import main
from edge.changeover.overview import claims


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("model: {shelf: shelf, unsigned: allow, keep: 3}\n")
    return path


def models(config: Path, *arguments: str) -> int:
    return main(["models", "--config", str(config), *arguments])


def newer(folder: Path, version: str = "2.0") -> Path:
    """The same model as another version, unsigned."""
    (folder / "signature").unlink(missing_ok=True)
    return repack(folder, lambda document: document.__setitem__("version", version))


def live(config: Path) -> str:
    return (config.parent / "shelf" / "current").resolve().name


def test_flash_list_verify_and_rollback(config: Path, shipped: Path, copied: Path, capsys) -> None:
    (config.parent / "shelf").mkdir()
    shutil.copytree(shipped.parent / "keys", config.parent / "shelf" / "keys")
    newer(copied)
    assert models(config, "flash", str(shipped)) == 0
    assert models(config, "flash", str(copied)) == 0
    began_s = time.process_time()
    assert models(config, "rollback") == 0
    assert time.process_time() - began_s < 1.0, "a loaded machine may let it wait, but it has little to do"
    assert live(config) == shipped.name
    assert models(config, "verify") == 0
    capsys.readouterr()
    assert models(config, "list") == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines() if shipped.name in line] == ["live"]
    for what in (
        "previous ",
        "(rollback, command line)",
        "signed by linegate-demo",
        "UNSIGNED",
        "claims escape 0.0 % (below 4.0 %)",
    ):
        assert what in told


def test_an_unsigned_model_is_refused_and_one_of_a_trusted_key_is_not(
    config: Path, shipped: Path, copied: Path, tmp_path: Path, capsys
) -> None:
    config.write_text("model: {shelf: shelf, keys: keys}\n")
    newer(copied)
    assert models(config, "flash", str(copied)) == 1
    assert "is unsigned" in capsys.readouterr().err
    assert models(config, "keygen", "plant", "--out", str(tmp_path / "keys")) == 0
    assert models(config, "sign", str(copied), "--key", str(tmp_path / "keys" / "plant.key")) == 0
    assert models(config, "flash", str(copied)) == 0
    assert models(config, "flash", str(shipped)) == 1, "its key is not in this folder"
    assert models(config, "revoke", "plant") == 0
    assert models(config, "flash", str(copied)) == 1
    assert "is revoked here" in capsys.readouterr().err


def test_an_older_model_and_another_of_the_same_version_need_a_word(config: Path, copied: Path, capsys) -> None:
    assert models(config, "flash", str(newer(copied, "2.0"))) == 0
    (copied / "signature").unlink(missing_ok=True)
    repack(copied, lambda document: document.update(version="1.9"))
    assert models(config, "flash", str(copied)) == 1
    assert "older than 2.0" in capsys.readouterr().err
    repack(copied, lambda document: document.update(version="2.0", data={"fingerprint": "other"}))
    assert models(config, "flash", str(copied)) == 1
    assert "with other content" in capsys.readouterr().err
    assert models(config, "flash", str(copied), "--allow-downgrade") == 0


def test_a_model_that_fails_its_golden_pictures_never_becomes_live(config: Path, copied: Path, capsys) -> None:
    assert models(config, "flash", str(newer(copied))) == 0
    before = live(config)

    def spoil(document: dict) -> None:
        document["golden"]["pictures"][0]["outputs"].reverse()
        document["version"] = "3.0"

    repack(copied, spoil)
    assert models(config, "flash", str(copied)) == 1
    assert "do not use it here" in capsys.readouterr().err
    assert live(config) == before
    assert len(list((config.parent / "shelf").glob("*-*"))) == 1
    assert not list((config.parent / "shelf").glob(".incoming*"))


def test_old_models_make_room_but_never_the_live_and_the_previous_one(config: Path, copied: Path) -> None:
    names = []
    for version in ("1", "2", "3", "4", "5"):
        assert models(config, "flash", str(newer(copied, version))) == 0
        names.append(live(config))
    shelf = config.parent / "shelf"
    assert {each.parent.name for each in shelf.glob("*/manifest.json")} == {*names[2:], "current", "previous"}


def test_what_a_bundle_claims_is_told_with_its_bounds_and_nothing_is_made_of_nonsense() -> None:
    grouped = {"escape_rate": {"rate": 0.02, "high": 0.07}, "overkill_rate": {"rate": 0.0}, "review_rate": "none"}
    told = list(claims({"metrics": {"grouped": grouped, "leakage": {"official": 0.43, "grouped": 0.0}}}))
    assert told == [
        "claims escape 2.0 % (below 7.0 %), overkill 0.0 %",
        "claims leakage (test pictures of parts it was trained on): official 43.0 %, grouped 0.0 %",
    ]
    assert not list(claims({"metrics": [1]}))
    assert not list(claims({"metrics": {"grouped": {"escape_rate": {"rate": "low"}}, "leakage": 7}}))


def test_an_empty_shelf_says_what_to_do(config: Path, capsys) -> None:
    assert models(config, "list") == 0
    assert "models flash" in capsys.readouterr().out
    assert models(config, "rollback") == 1
    assert models(config, "verify") == 1
    assert models(config, "flash", "nowhere") == 1
    assert models(config, "promote") == 1
    assert all(line.startswith("linegate: ") for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize("kind", ["zip", "gztar", "tar", "stick", "stick with an archive"])
def test_a_bundle_comes_in_many_wrappings(config: Path, shipped: Path, tmp_path: Path, kind: str) -> None:
    config.write_text(f"model: {{shelf: shelf, keys: {shipped.parent / 'keys'}}}\n")
    stick = tmp_path / "stick"
    stick.mkdir()
    if kind == "stick":
        shutil.copytree(shipped, stick / shipped.name)
    elif kind == "stick with an archive":
        shutil.make_archive(str(stick / "bundle"), "zip", shipped.parent, shipped.name)
    source = stick if kind.startswith("stick") else shutil.make_archive(str(stick / "b"), kind, shipped)
    assert models(config, "verify", str(source)) == 0
    assert not (config.parent / "shelf" / "current").is_symlink()
    assert models(config, "flash", str(source)) == 0
    assert live(config) == shipped.name


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/away/"):
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd" if "file" in self.path else "/" + self.path[6:])
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_bundle_comes_over_http_and_what_is_not_there_is_one_line(
    config: Path, shipped: Path, web: tuple[Path, str], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(f"model: {{shelf: shelf, keys: {shipped.parent / 'keys'}}}\n")
    folder, address = web
    shutil.make_archive(str(folder / "demo"), "zip", shipped)
    for bad, says in (("none.zip", "404"), ("away/file", "not allowed"), ("", "damaged")):
        assert models(config, "flash", f"{address}/{bad}") == 1
        told = capsys.readouterr().err
        assert says in told
        assert told.startswith("linegate: ")
        assert len(told.splitlines()) == 1
    with monkeypatch.context() as patch:
        patch.setattr("edge.changeover.fetch.TOTAL_BYTES", 1000)
        assert models(config, "flash", f"{address}/demo.zip") == 1
        assert "a line's bundle never is" in capsys.readouterr().err
    assert models(config, "flash", f"{address}/away/demo.zip") == 0
    assert live(config) == shipped.name
    assert models(config, "flash", "http://127.0.0.1:9/demo.zip") == 1
    assert "cannot be fetched" in capsys.readouterr().err
    assert not list((config.parent / "shelf").glob(".incoming*"))


def test_the_doctor_finds_what_is_wrong_and_what_to_do(config: Path, capsys) -> None:
    assert main(["doctor", "--json", "--config", str(config)]) == 1
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["runtime"]["well"]
    assert not found["model"]["well"]
    assert "flash" in found["model"]["do"]
    assert all(each["do"] for each in found.values() if not each["well"])
