"""Users, their permissions and their API keys ("RESTful API Interface Description", 2.3.2 and 3.19.1).

Nobody gives away more than he has, and only `bal` himself changes his password.
"""

from collections.abc import Mapping
from typing import Final

from loadmaster_ha.agent.api import passwords
from loadmaster_ha.agent.api.authentication import in_hash_thread, permissions_of
from loadmaster_ha.agent.api.dispatch import (
    ADMINISTRATOR,
    Call,
    Data,
    Done,
    Refused,
    Reply,
    User,
    handles,
)
from loadmaster_ha.agent.api.unit import Unit
from loadmaster_ha.agent.settings.model import Change, Delete, Fields, Json, Kind, Put
from loadmaster_ha.loadmaster.shapes import Permission

MOST_KEYS: Final = 16
"""Of one user; the oldest is dropped for a new one."""


# API keys


@handles("addapikey")
async def add_api_key(call: Call, unit: Unit) -> Reply:
    """Make a key for the caller; the only time that it is told."""
    keys = _keys(unit, call.user.name)
    newest = max((_age_rank(fields) for fields in keys.values()), default=0)
    key = passwords.new_api_key()
    surplus = max(0, len(keys) + 1 - MOST_KEYS)
    changes: list[Change] = [Delete(Kind.API_KEY, digest) for digest in list(keys)[:surplus]]
    # The order of creation is a number and no time: the two units' clocks may differ.
    fields: Fields = {"user": call.user.name, "created": newest + 1}
    unit.settings.commit([*changes, Put(Kind.API_KEY, passwords.key_digest(key), fields)])
    return Data({"apikeys": [key]})


@handles("listapikeys")
async def list_api_keys(call: Call, unit: Unit) -> Reply:
    """The caller's keys by fingerprint, oldest first."""
    return _listing(unit, call.user.name)


@handles("delapikey")
async def delete_api_key(call: Call, unit: Unit) -> Reply:
    """Delete a key, told in full or by its fingerprint."""
    owner = call.text("user") or call.user.name
    if call.user.name not in {owner, ADMINISTRATOR}:
        raise Refused(403, f"Only {ADMINISTRATOR} deletes other users' keys.")
    key = call.text("key") or ""
    for digest in _keys(unit, owner):
        if key == passwords.fingerprint(digest) or passwords.key_digest(key) == digest:
            unit.settings.commit([Delete(Kind.API_KEY, digest)])
            return _listing(unit, owner)
    raise Refused(422, f"{owner} has no such API key.")


def _listing(unit: Unit, user: str) -> Reply:
    return Data({"apikeys": [passwords.fingerprint(digest) for digest in _keys(unit, user)]})


def _keys(unit: Unit, user: str) -> Mapping[str, Fields]:
    """Keys of a user by digest, oldest first."""
    keys = unit.settings.snapshot.entities(Kind.API_KEY)
    own = {digest: fields for digest, fields in keys.items() if fields.get("user") == user}
    return dict(sorted(own.items(), key=lambda item: (_age_rank(item[1]), item[0])))


def _age_rank(fields: Fields) -> int:
    created = fields.get("created")
    return created if isinstance(created, int) else 0


# Users


@handles("useraddlocal")
async def add_user(call: Call, unit: Unit) -> Reply:
    """Create a user who may do nothing but read."""
    name = call.text("user") or ""
    if name == ADMINISTRATOR or unit.settings.snapshot.get(Kind.USER, name) is not None:
        raise Refused(422, f"User {name} exists already.")
    fields: Fields = {"hash": await _hash(call), "permissions": []}
    unit.settings.commit([Put(Kind.USER, name, fields)])
    return Done()


@handles("userdellocal")
async def delete_user(call: Call, unit: Unit) -> Reply:
    """Delete a user and his API keys."""
    name, fields = _other_user(call, unit)
    _refuse_above(call.user, permissions_of(fields))
    keys = [Delete(Kind.API_KEY, digest) for digest in _keys(unit, name)]
    unit.settings.commit([Delete(Kind.USER, name), *keys])
    return Done()


@handles("userchangelocpass")
async def change_password(call: Call, unit: Unit) -> Reply:
    """Give a user another password."""
    name, fields = _other_user(call, unit)
    _refuse_above(call.user, permissions_of(fields))
    hashed = await _hash(call)
    unit.settings.commit([Put(Kind.USER, name, {"hash": hashed})])
    return Done()


@handles("usersetperms")
async def set_permissions(call: Call, unit: Unit) -> Reply:
    """Give a user these permissions, and take all others away."""
    name, fields = _other_user(call, unit)
    wanted = _permissions(call.text("perms") or "")
    _refuse_above(call.user, wanted | permissions_of(fields))
    stored = list[Json](each.value for each in Permission if each in wanted)
    unit.settings.commit([Put(Kind.USER, name, {"permissions": stored})])
    return Done()


@handles("usershow")
async def show_user(call: Call, unit: Unit) -> Reply:
    """One user."""
    name, fields = _other_user(call, unit)
    return Data(_row(name, fields))


@handles("userlist")
async def list_users(_: Call, unit: Unit) -> Reply:
    """All but the built-in one."""
    users = unit.settings.snapshot.entities(Kind.USER)
    return Data(
        {"User": [_row(name, fields) for name, fields in sorted(users.items()) if name != ADMINISTRATOR]},
    )


@handles("usersetsyspassword")
async def set_own_password(call: Call, unit: Unit) -> Reply:
    """Change the caller's password, who has to know the one until now."""
    stored = (unit.settings.snapshot.get(Kind.USER, call.user.name) or {}).get("hash")
    current = call.text("currpassword") or ""
    if not isinstance(stored, str) or not await in_hash_thread(passwords.verify_password, current, stored):
        raise Refused(422, "currpassword: is not the password")
    hashed = await _hash(call)
    unit.settings.commit([Put(Kind.USER, call.user.name, {"hash": hashed})])
    return Done()


def _other_user(call: Call, unit: Unit) -> tuple[str, Fields]:
    name = call.text("user") or ""
    if name == ADMINISTRATOR:
        raise Refused(422, f"{ADMINISTRATOR} is the built-in user: only usersetsyspassword changes him.")
    fields = unit.settings.snapshot.get(Kind.USER, name)
    if fields is None:
        raise Refused(422, f"There is no user {name}.")
    return name, fields


def _refuse_above(caller: User, permissions: frozenset[Permission]) -> None:
    """A user with permission `users` must not become more than he is through another one."""
    beyond = permissions - caller.permissions
    if caller.name != ADMINISTRATOR and beyond:
        words = ", ".join(sorted(beyond))
        raise Refused(403, f"User {caller.name} has not the permission {words} himself.")


def _permissions(text: str) -> frozenset[Permission]:
    words = text.replace(",", " ").split()
    known = {each.value: each for each in Permission}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise Refused(422, f"perms: {unknown[0][:32]!r} is none of {', '.join(known)}")
    return frozenset(known[word] for word in words)


def _row(name: str, fields: Fields) -> dict[str, Json]:
    return {"Name": name, "Perms": [each.value for each in Permission if each in permissions_of(fields)]}


async def _hash(call: Call) -> str:
    password = call.text("password") or ""
    refusal = passwords.password_refusal(password)
    if refusal:
        raise Refused(422, f"password: {refusal}")
    return await in_hash_thread(passwords.hash_password, password)
