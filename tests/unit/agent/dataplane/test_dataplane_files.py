"""Files for HAProxy: whole or not at all, for nobody else to read, and what is on the disk counts."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.haproxy import short_folder
from tests.support.services import NASTY

from loadmaster_ha.agent.dataplane.command import Paths, command_line
from loadmaster_ha.agent.dataplane.files import Folder
from loadmaster_ha.agent.dataplane.words import Unprintable, Word, checked, literal_format, quoted


def test_only_what_differs_is_written(tmp_path):
    folder = Folder(tmp_path / "made")
    assert folder.put({"sub/a": "1", "b": "2"}) == ("sub/a", "b")
    assert folder.put({"sub/a": "1", "b": "3"}) == ("b",)
    assert Folder(tmp_path / "made").put({"sub/a": "1", "b": "3"}) == ()
    assert (folder.read("sub/a"), folder.read("b"), folder.read("c")) == ("1", "3", None)


def test_nobody_else_can_read_them(tmp_path):
    previous = os.umask(0)
    try:
        Folder(tmp_path / "made").put({"keys/a": "1"})
    finally:
        os.umask(previous)
    assert (tmp_path / "made/keys/a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made/keys").stat().st_mode & 0o777 == 0o700


def test_what_somebody_else_wrote_is_overwritten(tmp_path):
    folder = Folder(tmp_path)
    folder.put({"a": "1"})
    (tmp_path / "a").write_text("2")
    assert folder.put({"a": "1"}) == ("a",)
    (tmp_path / "a").unlink()
    assert folder.put({"a": "1"}) == ("a",)


@pytest.mark.parametrize("failing", ["os.fsync", "os.fdopen"])
def test_a_full_disk_leaves_the_former_file_and_no_other(tmp_path, monkeypatch, failing):
    folder = Folder(tmp_path)
    folder.put({"a": "1"})

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(failing, full)
        with pytest.raises(OSError, match="No space left"):
            folder.put({"a": "2"})
    assert (tmp_path / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert folder.put({"a": "2"}) == ("a",)


def test_a_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / ".a.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        Folder(tmp_path / "made").put({"a": "1"})
    assert victim.read_text() == "untouched"


def test_files_that_nobody_names_are_removed(tmp_path):
    folder = Folder(tmp_path)
    folder.put({"sub/a": "1", "sub/b": "2", "c": "3"})
    folder.keep_only("sub", {"sub/a": ""})
    folder.keep_only("absent", {})
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a", "c"]
    assert folder.put({"sub/b": "2"}) == ("sub/b",)


def test_paths_that_no_socket_can_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match="longer than 90 bytes"):
        Paths(tmp_path / ("x" * 100)).prepare()
    with pytest.raises(ValueError, match="no absolute path"):
        Paths(Path("relative")).prepare()
    Paths(tmp_path / ("x" * 100), sockets=Path("/tmp")).master.parent.exists()  # noqa: S108 - nothing is made there


@pytest.mark.parametrize(
    ("sockets", "account", "words"),
    [
        (None, "nobody", "need a folder of their own when its workers become nobody"),
        ("run", "nobody-there", "there is no account nobody-there"),
        pytest.param(
            "run",
            "nobody",
            "account nobody cannot enter .*closed",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can hand a folder over"),
        ),
    ],
)
def test_sockets_that_workers_could_not_reach_are_refused(sockets, account, words):
    with short_folder() as folder:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(ValueError, match=words):
            Paths(folder / "haproxy", sockets=sockets and closed / sockets).prepare(account)


def test_the_command_line():
    paths = Paths(Path("/var/lib/unit"), sockets=Path("/run/unit"))
    assert command_line(paths, binary="/usr/sbin/haproxy") == [
        "/usr/sbin/haproxy",
        "-W",
        "-S",
        "/run/unit/master.sock,mode,600",
        "-f",
        "/var/lib/unit/haproxy.cfg",
    ]


def test_a_master_elsewhere():
    assert str(Paths(Path("/var/lib/unit"), master_socket=Path("/shared/m.sock")).master) == "/shared/m.sock"


@given(NASTY)
def test_quoted_text_is_one_word(text):
    try:
        made = quoted(text)
    except Unprintable:
        assert not text.isprintable()
        return
    assert made.replace("'\\''", "").count("'") == 2
    assert made[1:-1].replace("'\\''", "'") == text


def test_a_percent_sign_means_itself_in_a_format():
    assert literal_format("50%[src]") == "'50%%[src]'"


@given(st.one_of(NASTY, st.integers(), st.none(), st.lists(st.integers())))
def test_nothing_but_plain_words_goes_unquoted(value):
    try:
        made = checked(value)
    except Unprintable:
        return
    assert made == str(value)
    assert not set(made) & set(" \t\n\r\0'\"\\#$%&;|<>{}()*?!")


def test_what_was_made_fit_goes_as_it_is():
    assert checked(Word("two words")) == "two words"
