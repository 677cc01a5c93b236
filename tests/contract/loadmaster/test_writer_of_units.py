"""Every planned change of a unit, carried out over HTTPS: on our agent, and on an appliance by v1 and v2."""

import dataclasses

import pytest
from tests.support.managed_units import KINDS, OWN_ADDRESS, ManagedUnit, managed_unit
from tests.support.pem import self_signed
from tests.support.scripted_appliance import Habits

from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.domain.ha import Mode, PreferredHost, Role, UnitState
from loadmaster_ha.domain.reading import Present
from loadmaster_ha.domain.unit_changes import (
    AddRealServer,
    AddService,
    DeleteCertificate,
    DeleteRealServer,
    DeleteService,
    ModifyRealServer,
    ModifyService,
    PutCertificate,
    Reboot,
    WriteAgentInputs,
    WriteMode,
    WriteParameters,
    WriteSharedSecret,
)
from loadmaster_ha.domain.units import AgentInputs, Certificate
from loadmaster_ha.domain.virtual_services import (
    CheckType,
    HealthCheck,
    RealServer,
    Schedule,
    ServiceKey,
    ServiceType,
    Tls,
    VirtualService,
)
from loadmaster_ha.loadmaster.faults import FaultReason, UnitFault
from loadmaster_ha.loadmaster.material import Material
from loadmaster_ha.loadmaster.observer import observe
from loadmaster_ha.loadmaster.unit_certificates import fingerprint_of
from loadmaster_ha.loadmaster.write_errors import NotKeptError, OutdatedPlanError
from loadmaster_ha.loadmaster.writer import write

ROLE = Role.MASTER
SECRET = "Str0ng_partner~secret!"
PEM, RENEWED = self_signed("shop.example"), self_signed("shop.example")
CERTIFICATE = "lm_0f5d1c2e_web_shop"
MATERIAL = Material(SECRET, "v1", {CERTIFICATE: PEM})
NOTHING = Material()
SHOP = VirtualService(
    index=0,
    key=ServiceKey(OWN_ADDRESS, 8080),
    nickname="lm_web_shop@0f5d1c2e",
    type=ServiceType.HTTP,
    schedule=Schedule.LEAST_CONNECTION,
    persistence="active-cookie",
    persistence_timeout=3600,
    persistence_cookie="route",
    check=HealthCheck(CheckType.HTTP, 0, "/ready", "shop.example", http_1_1=True, interval=10, timeout=5),
    forwarded_for=True,
)
SERVER = RealServer(0, "10.0.3.7", 80, weight=500)


@pytest.fixture(params=KINDS)
async def unit(request, tmp_path):
    async with managed_unit(request.param, tmp_path) as managed:
        yield managed


async def facts(unit: ManagedUnit):
    return await observe(unit.client, ROLE, services=True, certificates=True)


async def the_service(unit: ManagedUnit) -> VirtualService:
    read = (await facts(unit)).services
    assert isinstance(read, Present), read
    (found,) = read.value
    return found


async def twice(unit: ManagedUnit, change, material=NOTHING):
    """As after an answer that was lost."""
    await write(unit.client, change, material)
    await write(unit.client, change, material)


def unnumbered(service: VirtualService) -> VirtualService:
    servers = tuple(dataclasses.replace(each, index=0) for each in service.real_servers)
    return dataclasses.replace(service, index=0, real_servers=servers)


# High availability


@pytest.mark.parametrize("mode", [Mode.MASTER, Mode.SLAVE, Mode.SINGLE])
async def test_a_mode_is_set_and_reads_back(unit, mode):
    await twice(unit, WriteMode(ROLE, mode, boot=""))

    found = await facts(unit)
    assert found.settings.mode is mode
    assert found.mode_in_force is Mode.SINGLE, "it is in force after the next reboot"


async def test_parameters_are_set_and_what_is_not_named_stays(unit):
    await write(unit.client, WriteMode(ROLE, Mode.SLAVE, boot=""), NOTHING)
    await twice(unit, WriteParameters(ROLE, partner="10.0.2.5", port=8444, all_interfaces=True))
    await twice(unit, WriteParameters(ROLE, preferred_host=PreferredHost.NONE))
    await twice(unit, WriteParameters(ROLE, port=8445))

    settings = (await facts(unit)).settings
    assert (settings.partner, settings.port) == ("10.0.2.5", 8445)
    assert (settings.preferred_host, settings.all_interfaces) == (PreferredHost.NONE, True)


async def test_a_change_of_parameters_that_names_none_sends_nothing(unit):
    await write(unit.client, WriteParameters(ROLE), NOTHING)

    if unit.appliance is not None:
        assert unit.appliance.calls == []


async def test_the_shared_secret_is_written(unit):
    await twice(unit, WriteSharedSecret(ROLE, "v1"), MATERIAL)

    if unit.appliance is not None:
        assert unit.appliance.secret == SECRET
    else:
        assert unit.agent.unit.settings.snapshot.get(Kind.SECRET, "partner") == {"value": SECRET}


async def test_another_version_of_the_shared_secret_than_planned_is_not_written(unit):
    with pytest.raises(OutdatedPlanError):
        await write(unit.client, WriteSharedSecret(ROLE, "v2"), MATERIAL)

    if unit.appliance is not None:
        assert unit.appliance.secret_writes == 0


async def test_a_unit_that_reboots_need_not_answer(unit):
    await write(unit.client, Reboot(ROLE, boot="", why="The mode was set."), NOTHING)

    if unit.agent is not None:
        assert unit.agent.unit.reboots == 1
    else:
        assert [command for command, _ in unit.appliance.writes()] == ["reboot"]


async def test_agents_are_told_about_the_balancer(tmp_path):
    async with managed_unit("agent", tmp_path) as unit:
        await twice(unit, WriteAgentInputs(ROLE, frontend="10.0.2.100", probe_interval=7))
        await twice(unit, WriteAgentInputs(ROLE, probe_threshold=3))

        assert (await facts(unit)).inputs == AgentInputs("10.0.2.100", "168.63.129.16", 7, 3)


async def test_a_firmware_with_the_old_words_alone_gets_them(tmp_path):
    async with managed_unit("appliance-v2", tmp_path, Habits(takes_first_and_second=False)) as unit:
        await write(unit.client, WriteMode(ROLE, Mode.MASTER, boot=""), NOTHING)

        assert unit.appliance.mode == "master"
        assert [given["hamode"] for _, given in unit.appliance.writes()] == ["first", "master"]


async def test_a_firmware_with_the_neutral_family_alone_is_spoken_to_by_it(tmp_path):
    async with managed_unit("appliance-v1", tmp_path, Habits(azure_commands=False)) as unit:
        await write(unit.client, WriteMode(ROLE, Mode.SLAVE, boot=""), NOTHING)
        await write(unit.client, WriteParameters(ROLE, partner="10.0.2.4"), NOTHING)

        assert [command for command, _ in unit.appliance.writes()] == ["setcloudhamode", "setcloudhaparam"]
        assert (unit.appliance.mode, unit.appliance.partner) == ("slave", "10.0.2.4")


async def test_a_unit_without_cloud_ha_is_named(tmp_path):
    habits = Habits(azure_commands=False, cloud_commands=False)
    async with managed_unit("appliance-v2", tmp_path, habits) as unit:
        with pytest.raises(UnitFault, match="no commands for high availability") as raised:
            await write(unit.client, WriteMode(ROLE, Mode.SLAVE, boot=""), NOTHING)

        assert raised.value.reason is FaultReason.UNKNOWN_COMMAND


async def test_a_preference_is_kept_when_only_the_partner_is_written(tmp_path):
    """The trap of Kemp's PowerShell module: an unset preference was sent as 0."""
    async with managed_unit("appliance-v2", tmp_path) as unit:
        await write(unit.client, WriteParameters(ROLE, partner="10.0.2.5"), NOTHING)

        ((_, given),) = unit.appliance.writes()
        assert set(given) == {"partner"}


@pytest.mark.parametrize(
    ("change", "parameter", "told"),
    [
        (WriteMode(ROLE, Mode.MASTER, boot=""), "hamode", "HaMode: Single, should be Master"),
        (WriteParameters(ROLE, partner="10.0.2.5"), "partner", "Partner: missing, should be 10.0.2.5"),
        (AddService(ROLE, SHOP), "idletime", ""),
        (AddService(ROLE, dataclasses.replace(SHOP, idle_timeout=300)), "idletime",
         "Idletime: 660, should be 300"),
    ],
)  # fmt: skip
async def test_what_did_not_stick_is_an_error_of_its_own(tmp_path, change, parameter, told):
    async with managed_unit("appliance-v2", tmp_path) as unit:
        unit.appliance.forgets = {parameter}

        if not told:
            await write(unit.client, change, NOTHING)
            return
        with pytest.raises(NotKeptError) as raised:
            await write(unit.client, change, NOTHING)

        (mismatch,) = raised.value.mismatches
        assert str(mismatch) == told
        assert told in str(raised.value)


async def test_what_a_unit_says_when_all_interfaces_are_on_need_not_be_known(tmp_path):
    async with managed_unit("appliance-v2", tmp_path, Habits(all_interfaces_word="eth0 eth1")) as unit:
        await write(unit.client, WriteParameters(ROLE, all_interfaces=True), NOTHING)

        assert (await facts(unit)).settings.all_interfaces is None


# Virtual services and real servers


async def test_a_service_is_created_as_wanted(unit):
    await twice(unit, AddService(ROLE, SHOP))

    assert unnumbered(await the_service(unit)) == SHOP


async def test_a_service_whose_place_is_taken_is_refused(unit):
    await write(unit.client, AddService(ROLE, dataclasses.replace(SHOP, nickname="somebody-elses")), NOTHING)

    with pytest.raises(UnitFault) as raised:
        await write(unit.client, AddService(ROLE, SHOP), NOTHING)

    assert raised.value.reason is FaultReason.INVALID_REQUEST
    assert (await the_service(unit)).nickname == "somebody-elses"


async def test_a_service_is_changed_in_what_differs(unit):
    await write(unit.client, AddService(ROLE, SHOP), NOTHING)
    have = await the_service(unit)
    want = dataclasses.replace(
        have,
        key=ServiceKey(OWN_ADDRESS, 8081),
        enabled=False,
        persistence="src",
        persistence_cookie="",
        check=HealthCheck(CheckType.TCP),
        forwarded_for=False,
    )

    await twice(unit, ModifyService(ROLE, have, want, ()))

    assert await the_service(unit) == want


async def test_a_service_that_became_another_is_not_touched(unit):
    await write(unit.client, AddService(ROLE, dataclasses.replace(SHOP, nickname="somebody-elses")), NOTHING)
    planned = dataclasses.replace(SHOP, index=1)

    with pytest.raises(OutdatedPlanError, match="somebody-elses"):
        await write(
            unit.client,
            ModifyService(ROLE, planned, dataclasses.replace(planned, enabled=False), ()),
            NOTHING,
        )
    with pytest.raises(OutdatedPlanError, match="somebody-elses"):
        await write(unit.client, DeleteService(ROLE, planned, "It is not wanted."), NOTHING)

    assert (await the_service(unit)).enabled


async def test_a_service_is_removed_with_its_real_servers(unit):
    await write(unit.client, AddService(ROLE, SHOP), NOTHING)
    service = await the_service(unit)
    await write(unit.client, AddRealServer(ROLE, service, SERVER), NOTHING)

    await twice(unit, DeleteService(ROLE, service, "It is not wanted."))

    assert (await facts(unit)).services == Present(())


async def test_real_servers_come_change_and_go(unit):
    await write(unit.client, AddService(ROLE, SHOP), NOTHING)
    service = await the_service(unit)
    second = dataclasses.replace(SERVER, address="10.0.3.8", critical=True)

    await twice(unit, AddRealServer(ROLE, service, SERVER))
    await twice(unit, AddRealServer(ROLE, service, second))
    service = await the_service(unit)
    assert unnumbered(service).real_servers == (SERVER, second)

    have = service.real_servers[0]
    want = dataclasses.replace(have, port=81, weight=7)
    await twice(unit, ModifyRealServer(ROLE, service, have, want, ()))
    assert (await the_service(unit)).real_servers[0] == want

    await twice(unit, DeleteRealServer(ROLE, service, want, "It is gone."))
    assert unnumbered(await the_service(unit)).real_servers == (second,)


async def test_a_drain_is_told_by_agents_and_is_disabled_on_appliances(unit):
    await write(unit.client, AddService(ROLE, SHOP), NOTHING)
    await write(unit.client, AddRealServer(ROLE, await the_service(unit), SERVER), NOTHING)
    service = await the_service(unit)
    (have,) = service.real_servers

    await twice(
        unit,
        ModifyRealServer(ROLE, service, have, dataclasses.replace(have, enabled=False, draining=True), ()),
    )

    (server,) = (await the_service(unit)).real_servers
    assert (server.enabled, server.draining) == (False, unit.agent is not None)
    await write(unit.client, ModifyRealServer(ROLE, service, server, have, ()), NOTHING)
    assert (await the_service(unit)).real_servers == (have,)


async def test_a_standby_refuses_to_have_services_changed(unit):
    if unit.agent is not None:
        unit.agent.unit.is_in(UnitState.STANDBY)
    else:
        unit.appliance.mode = unit.appliance.mode_in_force = "master"
        unit.appliance.is_in("Standby")

    with pytest.raises(UnitFault) as raised:
        await write(unit.client, AddService(ROLE, SHOP), NOTHING)

    assert raised.value.reason is FaultReason.STANDBY_REFUSES
    assert not raised.value.sent
    assert (await facts(unit)).services == Present(())


# Certificates


async def test_a_certificate_is_installed_renewed_and_removed(unit):
    first, second = (fingerprint_of(pem) or "" for pem in (PEM, RENEWED))
    await twice(unit, PutCertificate(ROLE, CERTIFICATE, first, replaces=False), MATERIAL)
    assert (await facts(unit)).certificates == Present((Certificate(CERTIFICATE, first),))

    await twice(
        unit,
        PutCertificate(ROLE, CERTIFICATE, second, replaces=True),
        Material(certificates={CERTIFICATE: RENEWED}),
    )
    assert (await facts(unit)).certificates == Present((Certificate(CERTIFICATE, second),))

    await twice(unit, DeleteCertificate(ROLE, CERTIFICATE))
    assert (await facts(unit)).certificates == Present(())


async def test_a_certificate_that_is_gone_is_installed_anew_where_it_was_to_be_replaced(unit):
    fingerprint = fingerprint_of(PEM) or ""

    await write(unit.client, PutCertificate(ROLE, CERTIFICATE, fingerprint, replaces=True), MATERIAL)

    assert (await facts(unit)).certificates == Present((Certificate(CERTIFICATE, fingerprint),))


async def test_a_certificate_in_use_is_not_deleted_before_its_service_lets_go(unit):
    fingerprint = fingerprint_of(PEM) or ""
    await write(unit.client, PutCertificate(ROLE, CERTIFICATE, fingerprint, replaces=False), MATERIAL)
    secured = dataclasses.replace(SHOP, tls=Tls((CERTIFICATE,), minimum_version="TLSv1.3"))
    await write(unit.client, AddService(ROLE, secured), NOTHING)
    have = await the_service(unit)
    assert have.tls == secured.tls

    with pytest.raises(UnitFault, match=r"(?i)in use"):
        await write(unit.client, DeleteCertificate(ROLE, CERTIFICATE), NOTHING)

    await write(unit.client, ModifyService(ROLE, have, dataclasses.replace(have, tls=None), ()), NOTHING)
    await write(unit.client, DeleteCertificate(ROLE, CERTIFICATE), NOTHING)
    assert (await facts(unit)).certificates == Present(())


async def test_another_certificate_than_planned_is_not_installed(unit):
    planned = PutCertificate(ROLE, CERTIFICATE, fingerprint_of(RENEWED) or "", replaces=False)

    with pytest.raises(OutdatedPlanError):
        await write(unit.client, planned, MATERIAL)

    assert (await facts(unit)).certificates == Present(())


# Answers that are lost


@pytest.mark.parametrize(
    ("change", "command"),
    [
        (WriteMode(ROLE, Mode.MASTER, boot=""), "azurehamode"),
        (WriteParameters(ROLE, partner="10.0.2.5"), "azurehaparam"),
        (AddService(ROLE, SHOP), "addvs"),
        (PutCertificate(ROLE, CERTIFICATE, fingerprint_of(PEM) or "", replaces=False), "addcert"),
    ],
)
@pytest.mark.parametrize("kind", ["appliance-v1", "appliance-v2"])
async def test_after_a_lost_answer_the_change_is_there_once(tmp_path, kind, change, command):
    async with managed_unit(kind, tmp_path) as unit:
        unit.appliance.loses_answer_of = {command}

        with pytest.raises(UnitFault) as raised:
            await write(unit.client, change, MATERIAL)
        assert raised.value.sent, "somebody has to look what became of it"
        assert [each for each, _ in unit.appliance.writes()] == [command], "it is not sent again blindly"

        await write(unit.client, change, MATERIAL)
        found = await facts(unit)
        assert isinstance(found.services, Present)
        assert isinstance(found.certificates, Present)
        assert len(found.services.value) == (command == "addvs")
        assert len(found.certificates.value) == (command == "addcert")


def test_material_cannot_be_printed():
    for shown in (repr(MATERIAL), str(MATERIAL), repr(MATERIAL.certificates), f"{MATERIAL.certificates}"):
        assert SECRET not in shown
        assert "PRIVATE KEY" not in shown
    assert CERTIFICATE in repr(MATERIAL.certificates)
