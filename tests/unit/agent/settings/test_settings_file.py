"""The settings' file: who may read it, what is refused at opening, full disks, killed processes."""

import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from unittest.mock import patch

import pytest

from loadmaster_ha.agent.settings import database
from loadmaster_ha.agent.settings.errors import (
    StoreDamaged,
    StoreFull,
    StoreInUse,
    StoreTooNew,
    StoreUnavailable,
)
from loadmaster_ha.agent.settings.model import Kind, Put
from loadmaster_ha.agent.settings.store import Store


def put(value, name="ntphost"):
    return Put(Kind.PARAMETER, name, {"value": value})


def python(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


COMMITS = """
    import sys
    from pathlib import Path
    from loadmaster_ha.agent.settings.model import Kind, Put
    from loadmaster_ha.agent.settings.store import Store

    store = Store.open(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        store.commit([Put(Kind.PARAMETER, "ntphost", {"value": number})])
        print(number, flush=True)
"""


def test_only_the_agent_may_read_it(store, path):
    store.commit([put("x")])

    files = [path, *path.parent.glob(f"{path.name}-*")]
    assert len(files) > 1
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_an_acknowledged_change_survives_kill_9_right_afterwards(path):
    for attempt in range(1, 6):
        with python(COMMITS, path) as process:
            last = 0
            for _ in range(7 * attempt):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else last

        with_next = {acknowledged, acknowledged + 1}  # one that was on the disk before anybody was told
        store = Store.open(path)
        assert store.snapshot.get(Kind.PARAMETER, "ntphost")["value"] in with_next
        store.close()


def test_a_second_process_is_turned_away(path):
    with python(COMMITS, path) as process:
        process.stdout.readline()
        try:
            with patch.object(database, "_LOCK_WAIT", 0.1), pytest.raises(StoreInUse, match="second agent"):
                Store.open(path)
        finally:
            process.kill()
    Store.open(path).close()


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_place_that_cannot_be_written_to_is_refused_in_words(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"settings\.db cannot be opened"):
        Store.open(tmp_path / folder / "settings.db")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"\0" * 5000])
def test_something_else_in_the_file_is_refused_and_left_alone(path, content):
    path.write_bytes(content)

    with pytest.raises((StoreDamaged, StoreUnavailable)):
        Store.open(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()

    with pytest.raises(StoreUnavailable, match="another program"):
        Store.open(path)


def test_one_altered_byte_is_found(store, path):
    store.commit([put("a value that can be found in the file")])
    store.close()
    content = path.read_bytes()
    assert content.count(b"can be found") == 1
    path.write_bytes(content.replace(b"can be found", b"can be lost!"))

    with pytest.raises(StoreDamaged, match="parameter ntphost is not what was written") as refusal:
        Store.open(path)
    assert "partner" in str(refusal.value)


@pytest.mark.parametrize("page", [1, 2])
def test_a_page_overwritten_with_noise_is_found(store, path, page):
    store.commit([put("x" * 300, f"name{number}") for number in range(100)])
    store.close()
    content = bytearray(path.read_bytes())
    content[page * 4096 : page * 4096 + 512] = bytes(range(256)) * 2
    path.write_bytes(content)

    with pytest.raises(StoreDamaged, match="damaged"):
        Store.open(path)


def test_a_later_releases_file_is_refused_and_left_alone(store, path):
    store.commit([put("x")])
    store.close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(database.MIGRATIONS) + 1}")
    newer.close()
    before = path.read_bytes()

    with pytest.raises(StoreTooNew, match="later release"):
        Store.open(path)
    assert path.read_bytes() == before


def test_an_earlier_releases_file_is_brought_to_todays_form_with_all_that_is_in_it(store, path):
    store.commit([put("x")])
    store.close()

    with patch.object(database, "MIGRATIONS", (*database.MIGRATIONS, "CREATE TABLE later (x TEXT)")):
        migrated = Store.open(path)
        assert migrated.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "x"}
        migrated.close()

    with pytest.raises(StoreTooNew):
        Store.open(path)


def test_a_migration_that_fails_leaves_the_file_as_it_was(store, path):
    store.commit([put("x")])
    store.close()

    bad = (*database.MIGRATIONS, "CREATE TABLE half (x TEXT); CREATE TABLE half (x TEXT)")
    with patch.object(database, "MIGRATIONS", bad), pytest.raises(StoreUnavailable):
        Store.open(path)

    unharmed = Store.open(path)
    assert unharmed.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "x"}
    unharmed.close()


def test_a_full_disk_refuses_the_change_and_reading_goes_on(store, path):
    store.commit([put("before")])
    store._backend._connection.execute("PRAGMA max_page_count = 1")

    with pytest.raises(StoreFull, match="Make room"):
        store.commit([put("x" * 50_000), put("y", "other")])
    assert store.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "before"}
    assert store.snapshot.get(Kind.PARAMETER, "other") is None

    store._backend._connection.execute("PRAGMA max_page_count = 100000")
    store.commit([put("after")])
    store.close()
    again = Store.open(path)
    assert again.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "after"}
    again.close()


def test_the_operating_system_refusing_to_write_is_told_as_such(path):
    # A limit on the size of files instead of a full disk: the same to the program, and everywhere to be had.
    with python(
        """
        import resource, sys
        from pathlib import Path
        from loadmaster_ha.agent.settings.errors import StoreError
        from loadmaster_ha.agent.settings.model import Kind, Put
        from loadmaster_ha.agent.settings.store import Store

        store = Store.open(Path(sys.argv[1]))
        store.commit([Put(Kind.PARAMETER, "ntphost", {"value": "before"})])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        users = [Put(Kind.USER, f"user{n}", {"hash": "x" * 1000}) for n in range(300)]
        try:
            store.commit(users)
        except StoreError as error:
            print(type(error).__name__)
        print(len(store.snapshot.entities(Kind.USER)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.commit(users)
        """,
        path,
    ) as process:
        name, count = process.stdout.read().split()
    assert process.returncode == 0
    assert name in {"StoreFull", "StoreFailed"}
    assert count == "0"
    store = Store.open(path)
    assert len(store.snapshot.entities(Kind.USER)) == 300
    store.close()


def test_a_store_on_a_full_disk_opens_and_can_be_read(store, path):
    store.commit([put("before")])
    store.close()

    with patch.object(database.Database, "write", side_effect=StoreFull("no room")):
        reading = Store.open(path)
        assert reading.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "before"}
        with pytest.raises(StoreFull):
            reading.commit([put("after")])
    reading.commit([put("after")])
    reading.close()

    again = Store.open(path)
    assert again.snapshot.get(Kind.PARAMETER, "ntphost") == {"value": "after"}
    assert len(again.identity.lives) == 3, "each start is noted, that one with its first write"
    again.close()


def test_opening_writes_nothing_before_the_store_notes_its_start(store, path):
    store.close()
    before = path.read_bytes()
    database.Database.open(path).close()
    assert path.read_bytes() == before


def test_a_counter_that_failed_to_be_written_is_not_used_again(store):
    store.commit([put("x")])
    store._backend._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreFull):
        store.commit([put("x" * 50_000)])
    told = store.seen.get(store.node)
    store._backend._connection.execute("PRAGMA max_page_count = 100000")
    store.commit([put("y")])

    entity = store.entity((Kind.PARAMETER, "ntphost"))
    assert entity.version("value").counter > told + 1
