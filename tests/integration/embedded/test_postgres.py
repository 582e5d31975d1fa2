"""PostgreSQL from its wheel: one server per folder, however often it is started or killed."""

import os
import shutil
import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from consortium.embedded import memory, postgres, privileges
from consortium.embedded.memory import make_folder, remove_folder
from consortium.embedded.postgres import Database, postmaster_pid
from consortium.embedded.roles import PostgresTooOldError, RolesNotAllowedError, bootstrap_roles, database_url
from consortium.embedded.services import OwnerWithoutAppError, ServerUnreachableError, external_database


def one(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def test_a_second_starter_attaches(cluster: Path, database: Database) -> None:
    again = postgres.ensure(cluster, durable=False)
    assert not again.started_here
    assert again.app_url == database.app_url


def test_of_many_starters_at_once_one_starts_and_the_others_attach(cluster: Path) -> None:
    postgres.stop(cluster)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: postgres.ensure(cluster, durable=False), range(4)))
    assert sorted(database.started_here for database in found) == [False, False, False, True]


def test_the_server_is_new_enough_for_uuidv7(database: Database) -> None:
    assert len(str(one(database.app_url, "SELECT uuidv7()"))) == 36


def test_a_killed_server_comes_back_at_the_same_address_with_its_data(cluster: Path, database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("SET synchronous_commit = on")  # what tests do without
        owner.execute("CREATE TABLE kept AS SELECT 1 AS n")
    pid = postmaster_pid(cluster / "data")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = postgres.ensure(cluster, durable=False)
    assert again.started_here
    assert again.owner_url == database.owner_url
    assert one(again.owner_url, "SELECT count(*) FROM kept") == 1


def test_a_pid_file_that_names_another_living_process_is_not_believed(cluster: Path) -> None:
    postgres.stop(cluster)
    stale = cluster / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{cluster}/data\n1\n1\n\n127.0.0.1\n1 1\nready\n")
    assert postgres.ensure(cluster, durable=False).started_here


def test_another_program_on_its_port_makes_it_move(cluster: Path, database: Database) -> None:
    postgres.stop(cluster)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", database.port))
        squatter.listen()
        moved = postgres.ensure(cluster, durable=False)
    assert moved.port != database.port
    assert one(moved.app_url, "SELECT 1") == 1


@pytest.mark.parametrize("role", ["owner_url", "app_url"])
def test_neither_role_can_step_over_row_level_security_as_superuser(database: Database, role: str) -> None:
    rights = "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert one(getattr(database, role), rights) is False


def test_the_app_role_owns_nothing_and_makes_nothing(database: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(database.app_url, "CREATE TABLE mine (n int)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(database.app_url, "CREATE DATABASE mine")


def test_the_app_role_reads_and_writes_what_the_owner_makes_but_may_not_truncate(database: Database) -> None:
    one(database.owner_url, "CREATE TABLE IF NOT EXISTS made (n int)")
    assert one(database.app_url, "INSERT INTO made VALUES (7) RETURNING n") == 7
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(database.app_url, "TRUNCATE made")


def test_a_database_that_the_owner_makes_has_exclusion_constraints_on_scalars(database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE cloned")
    try:
        made = database_url(database.owner_url, dbname="cloned")
        assert one(made, "SELECT count(*) FROM pg_extension WHERE extname = 'btree_gist'") == 1
    finally:
        with psycopg.connect(database.owner_url, autocommit=True) as owner:
            owner.execute("DROP DATABASE cloned")


def test_passwords_are_for_their_owner_alone_and_the_server_does_not_run_as_root(cluster: Path) -> None:
    assert stat.S_IMODE((cluster / "cluster.json").stat().st_mode) == 0o600
    pid = postmaster_pid(cluster / "data")
    expected = privileges.NOBODY if privileges.is_root() else os.getuid()
    assert Path(f"/proc/{pid}").stat().st_uid == expected


def test_a_server_that_cannot_start_says_why_and_where(tmp_path: Path) -> None:
    postgres.stop(postgres_with(tmp_path, "this is no configuration"))
    with pytest.raises(postgres.PostgresDoesNotStartError, match=r"server\.log ends with: .*postgresql\.conf"):
        postgres.ensure(tmp_path / "pg", durable=False)


def postgres_with(folder: Path, line: str) -> Path:
    directory = folder / "pg"
    postgres.ensure(directory, durable=False)
    postgres.stop(directory)
    with (directory / "data" / "postgresql.conf").open("a") as file:
        file.write(f"\n{line}\n")
    return directory


def test_a_given_server_gets_the_roles_when_its_login_may_make_them(database: Database) -> None:
    environ = {"DATABASE_URL": database.admin_url}
    found = external_database(environ, owner_password="o", app_password="a")
    again = external_database(environ, owner_password="another", app_password="home")
    assert found is not None
    assert found == again, "the passwords follow from the server's, not from the home"
    assert one(found.app_url, "SELECT current_user") == "portal_app"
    assert one(found.owner_url, "SELECT current_user") == "portal_owner"


def test_two_given_roles_are_taken_as_they_are(database: Database) -> None:
    kept = bootstrap_roles(database.admin_url, owner_password="o", app_password="a")
    environ = {"DATABASE_URL": kept.app_url, "DATABASE_OWNER_URL": kept.owner_url}
    found = external_database(environ, owner_password="", app_password="")
    assert found is not None
    assert (found.app_url, found.owner_url) == (kept.app_url, kept.owner_url)


def test_a_login_that_may_not_make_roles_is_told_what_to_do(database: Database) -> None:
    kept = bootstrap_roles(database.admin_url, owner_password="o", app_password="a")
    with pytest.raises(RolesNotAllowedError, match="DATABASE_OWNER_URL"):
        external_database({"DATABASE_URL": kept.app_url}, owner_password="o", app_password="a")


def test_an_owner_without_an_app_role_is_half_a_configuration(database: Database) -> None:
    with pytest.raises(OwnerWithoutAppError, match="DATABASE_URL is not"):
        external_database({"DATABASE_OWNER_URL": database.owner_url}, owner_password="o", app_password="a")


def test_a_given_server_that_does_not_answer_is_named(database: Database) -> None:
    wrong = database_url(database.admin_url, user="portal_app", password="wrong", dbname="portal")
    with pytest.raises(ServerUnreachableError, match="DATABASE_URL"):
        external_database({"DATABASE_URL": wrong}, owner_password="o", app_password="a")


def test_an_old_server_is_refused_by_its_version() -> None:
    assert "PostgreSQL 17 is too old" in str(PostgresTooOldError(170004))


def test_a_cluster_in_memory_that_the_machine_forgot_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    first = postgres.ensure(directory, durable=False)
    one(first.owner_url, "CREATE TABLE forgotten ()")
    postgres.stop(directory)
    assert (directory / "data").is_symlink()
    shutil.rmtree((directory / "data").resolve())
    try:
        again = postgres.ensure(directory, durable=False)
        assert one(again.owner_url, "SELECT count(*) FROM pg_tables WHERE tablename = 'forgotten'") == 0
    finally:
        postgres.stop(directory)
        remove_folder(directory / "data")


def test_without_room_in_memory_the_folder_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "NEEDED_BYTES", 2**62)
    make_folder(tmp_path / "data", in_memory=True)
    assert (tmp_path / "data").is_dir()
    assert not (tmp_path / "data").is_symlink()
    make_folder(tmp_path / "data", in_memory=False)
    assert [*(tmp_path / "data").iterdir()] == []


def test_what_a_deleted_home_left_in_memory_is_swept_and_what_is_led_to_stays(tmp_path: Path) -> None:
    gone, kept = tmp_path / "gone", tmp_path / "kept"
    for home in (gone, kept):
        home.mkdir()
        make_folder(home / "data", in_memory=True)
    left, used = (gone / "data").resolve(), (kept / "data").resolve()
    shutil.rmtree(gone)
    make_folder(tmp_path / "next", in_memory=True)
    assert (left.exists(), used.is_dir()) == (False, True)
    for folder in (kept / "data", tmp_path / "next"):
        remove_folder(folder)
    assert not used.exists()
