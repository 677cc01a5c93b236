"""The installer of Kemp's client: what is installed first, and by what its environment is found."""

import kempclient


def test_the_client_comes_after_what_its_setup_needs_to_run():
    own, others = kempclient.split(kempclient.LOCK.read_text(encoding="utf-8"))

    assert own.startswith("python-kemptech-api==")
    assert "--hash=sha256:" in own
    assert "python-kemptech-api==" not in others
    for needed in ("setuptools==", "requests==", "lxml==", "netaddr=="):
        assert f"\n{needed}" in f"\n{others}"


def test_parting_a_lock_loses_nothing():
    text = kempclient.LOCK.read_text(encoding="utf-8")

    assert sorted("\n".join(kempclient.split(text)).splitlines()) == sorted(text.splitlines())


def test_another_lock_is_another_environment(tmp_path, monkeypatch):
    before = kempclient.home()
    changed = tmp_path / "kemp.lock"
    changed.write_bytes(kempclient.LOCK.read_bytes() + b"# changed\n")
    monkeypatch.setattr(kempclient, "LOCK", changed)

    assert kempclient.home() != before


def test_a_client_that_is_not_there_is_told_to_be_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert kempclient.main(["--check"]) == 1
    assert "is not installed" in capsys.readouterr().out
