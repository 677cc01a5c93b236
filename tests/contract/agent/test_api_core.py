"""The management API over real HTTPS: asked and answered as Kemp's documents say."""

import re
from dataclasses import replace

import pytest
from tests.support.management import served

from loadmaster_ha.agent.api import dispatch
from loadmaster_ha.agent.api.unit import PartnerLinkStatus
from loadmaster_ha.agent.ha.model import Notice, Report
from loadmaster_ha.agent.settings.model import Kind
from loadmaster_ha.domain.ha import Mode, PreferredHost, UnitState

XML_HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'


@pytest.fixture
async def api(tmp_path):
    async with served(tmp_path) as serving:
        yield serving


async def test_a_parameter_is_read_in_v1(api):
    reply = await api.v1("get", param="version")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/xml"
    assert reply.text == (
        XML_HEAD + '<Response stat="200" code="ok">\n'
        "<Success><Data><version>7.2.54.12.1.AGENT</version>\n</Data></Success>\n</Response>\n"
    )


async def test_a_parameter_is_read_in_v2(api):
    reply = await api.v2("get", param="version")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/json"
    assert reply.json == {"code": 200, "version": "7.2.54.12.1.AGENT", "status": "ok"}


async def test_done_is_said_in_the_words_of_the_manual(api):
    v1 = await api.v1("azurehamode", hamode="first")
    v2 = await api.v2("azurehamode", hamode="first")

    assert v1.text == (
        XML_HEAD + '<Response stat="200" code="ok">\n<Success>Command completed ok</Success>\n</Response>\n'
    )
    assert v2.json == {"code": 200, "message": "Command completed ok", "status": "ok"}


async def test_a_missing_parameter_is_400_in_v1_and_422_in_v2(api):
    v1 = await api.v1("set", value="1")
    v2 = await api.v2("set", value="1")

    assert v1.status == 400
    assert '<Response stat="400" code="fail">\n<Error>param: String Value missing</Error>' in v1.text
    assert (v2.status, v2.json) == (
        422,
        {"code": 422, "message": "param: String Value missing", "status": "fail"},
    )


async def test_an_unknown_command_is_405_in_both(api):
    v1 = await api.v1("factoryreset")
    v2 = await api.v2("factoryreset")

    assert v1.status == 405
    assert "<Error>Unknown command.</Error>" in v1.text
    assert v2.status == 405
    assert v2.json["status"] == "fail"


async def test_a_path_outside_the_api_is_404(api):
    assert (await api.ask("GET", "/", None, api.basic())).status == 404


async def test_the_path_behind_accessv2_is_ignored(api):
    reply = await api.ask("POST", "/accessv2/example", b'{"cmd":"get","param":"time"}', api.basic())

    assert reply.status == 200


async def test_other_methods_are_405(api):
    assert (await api.ask("DELETE", "/access/get?param=time", None, api.basic())).status == 405


async def test_parameters_of_v1_may_be_posted(api):
    reply = await api.ask("POST", "/access/set", b"param=hostname&value=lm-0", api.basic())

    assert reply.status == 200
    assert "<hostname>lm-0</hostname>" in (await api.v1("get", param="hostname")).text


async def test_subcommands_are_paths_in_v1_and_dotted_in_v2(api):
    v1 = await api.v1("logging/nothing")
    v2 = await api.v2("logging.nothing")

    assert (v1.status, v2.status) == (405, 405)


# HA


async def test_ha_is_set_and_read_back_in_the_words_of_the_appliance(api):
    await api.v1("azurehamode", hamode="first")
    await api.v1("azurehaparam", partner="10.0.2.5", hcp="8444")

    v2 = await api.v2("getazurehaparams")
    v1 = await api.v1("getazurehaparams")

    assert v2.json == {
        "code": 200,
        "HaMode": "master",
        "HaPrefered": "1",
        "Partner": "10.0.2.5",
        "Port": "8444",
        "HealthCheckAllInterfaces": "unset",
        "status": "ok",
    }
    assert (
        "<Data><AzureHA>\n<HaMode>master</HaMode>\n<HaPrefered>1</HaPrefered>\n<Partner>10.0.2.5</Partner>\n"
        "<Port>8444</Port>\n<HealthCheckAllInterfaces>unset</HealthCheckAllInterfaces>\n</AzureHA>\n</Data>"
    ) in v1.text


async def test_a_single_unit_has_no_preference_and_everything_unset(api):
    reply = await api.v2("getCloudHaParams")

    assert reply.json == {
        "code": 200,
        "HaMode": "single",
        "Partner": "unset",
        "Port": "unset",
        "HealthCheckAllInterfaces": "unset",
        "status": "ok",
    }


@pytest.mark.parametrize(
    ("word", "read_back"),
    [
        ("first", "master"),
        ("second", "slave"),
        ("master", "master"),
        ("slave", "slave"),
        ("single", "single"),
    ],
)
async def test_both_pairs_of_words_set_the_role(api, word, read_back):
    await api.v1("setcloudhamode", hamode=word)

    assert (await api.v2("getazurehaparams")).json["HaMode"] == read_back


async def test_only_what_is_sent_is_changed(api):
    await api.v1("azurehamode", hamode="first")
    await api.v1("azurehaparam", partner="10.0.2.5", hcp="8444", haprefered="0", hcai="1")
    await api.v1("azurehaparam", partner="10.0.2.6")

    reply = (await api.v2("getazurehaparams")).json

    assert (reply["HaPrefered"], reply["Port"], reply["Partner"]) == ("0", "8444", "10.0.2.6")
    assert reply["HealthCheckAllInterfaces"] == "yes"


@pytest.mark.parametrize("word", ["", "unset"])
async def test_the_partner_can_be_taken_away(api, word):
    await api.v1("azurehaparam", partner="10.0.2.5")
    await api.v1("azurehaparam", partner=word)

    assert (await api.v2("getazurehaparams")).json["Partner"] == "unset"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"partner": "10.0.2.4"}, "this unit's own address"),
        ({"partner": "lm-1"}, "is no IP address"),
        ({"partner": "224.0.0.1"}, "not the address of a unit"),
        ({"hcp": "8443"}, "the unit itself uses port 8443"),
        ({"hcp": "6973"}, "the unit itself uses port 6973"),
        ({"hcp": "25"}, "Azure does not probe port 25"),
        ({"hcp": "70000"}, "out of bounds"),
        ({"hcp": "84a4"}, "not a whole number"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_changed(api, parameters, said):
    reply = await api.v1("azurehaparam", haprefered="0", **parameters)

    assert reply.status == 422
    assert said in reply.text
    assert api.unit.settings.snapshot.get(Kind.HA, "ha") is None


async def test_the_role_takes_effect_at_the_next_boot(api):
    await api.v1("azurehamode", hamode="second")

    assert "<hastatus>HA not configured</hastatus>" in (await api.v1("get", param="hastatus")).text
    assert "<hamode>3</hamode>" in (await api.v1("get", param="hamode")).text


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (UnitState.ACTIVE, "Active"),
        (UnitState.STANDBY, "Standby"),
        (UnitState.UNCONNECTED, "Passive"),
        (UnitState.FAILED, "Failed"),
    ],
)
async def test_the_state_is_told_in_the_words_of_the_manual(api, state, word):
    api.unit.is_in(state)

    assert f"<hastatus>{word}</hastatus>" in (await api.v1("get", param="hastatus")).text


async def test_active_time_is_a_date_while_active_and_zero_else(api):
    active = await api.v1("get", param="activetime")
    api.unit.is_in(UnitState.STANDBY)
    standby = await api.v1("get", param="activetime")

    assert re.search(r"<activetime>[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC<", active.text)
    assert "<activetime>0</activetime>" in standby.text


async def test_boot_time_has_a_year_of_two_digits(api):
    assert "<boottime>Fri, 08 Aug 25 10:07:09 UTC</boottime>" in (await api.v1("get", param="boottime")).text


# The standby


async def test_a_standby_refuses_synchronised_settings_and_names_the_active_unit(api):
    await api.v1("azurehaparam", partner="10.0.2.5")
    api.unit.is_in(UnitState.STANDBY, Mode.SLAVE)

    v1 = await api.v1("useraddlocal", user="ann", password="long enough")
    v2 = await api.v2("set", param="geopartners", value="10.1.0.4")

    assert v1.status == 422
    assert "unit is standby, configure the active unit 10.0.2.5" in v1.text
    assert v2.status == 422
    assert v2.json["message"] == "unit is standby, configure the active unit 10.0.2.5"


async def test_a_standby_takes_reads_and_local_administration(api):
    api.unit.is_in(UnitState.STANDBY, Mode.SLAVE)

    for command, parameters in [
        ("getall", {}),
        ("set", {"param": "hostname", "value": "lm-1"}),
        ("azurehaparam", {"partner": "10.0.2.5"}),
        ("setlmcommsecret", {"secret": "0123456789"}),
        ("set", {"param": "enableapi", "value": "yes"}),
        ("reboot", {}),
    ]:
        assert (await api.v1(command, **parameters)).status == 200, command
    assert api.unit.reboots == 1


@pytest.mark.parametrize("state", [UnitState.ACTIVE, UnitState.UNCONNECTED])
async def test_an_active_or_unconnected_unit_takes_everything(api, state):
    api.unit.is_in(state)

    assert (await api.v1("set", param="geopartners", value="10.1.0.4,10.1.0.5")).status == 200


# Parameters


async def test_lists_of_addresses_are_commas_in_v1_and_arrays_in_v2(api):
    await api.v1("set", param="geopartners", value="10.1.0.4 10.1.0.5")

    assert "<geopartners>10.1.0.4,10.1.0.5</geopartners>" in (await api.v1("get", param="geopartners")).text
    assert (await api.v2("get", param="geopartners")).json["geopartners"] == ["10.1.0.4", "10.1.0.5"]


async def test_an_empty_value_unsets(api):
    await api.v1("set", param="geopartners", value="10.1.0.4")
    await api.v1("set", param="geopartners", value="")

    assert "geopartners" not in (await api.v1("getall")).text


async def test_switches_are_yes_and_no_in_v1_and_booleans_in_v2(api):
    assert "<multigw>no</multigw>" in (await api.v1("get", param="multigw")).text
    assert (await api.v2("get", param="multigw")).json["multigw"] is False


async def test_what_azure_does_not_permit_is_refused_in_the_manuals_words(api):
    reply = await api.v1("set", param="multigw", value="yes")

    assert reply.status == 422
    assert "not permitted in a cloud environment" in reply.text


async def test_setting_what_is_already_so_is_done_even_where_it_cannot_be_changed(api):
    assert (await api.v1("set", param="multigw", value="N")).status == 200


async def test_read_only_parameters_are_refused(api):
    reply = await api.v2("set", param="version", value="8")

    assert reply.status == 422
    assert "read-only" in reply.json["message"]


async def test_an_unknown_parameter_is_named(api):
    reply = await api.v1("get", param="wibble<b>")

    assert reply.status == 422
    assert "Unknown parameter wibble&lt;b&gt;." in reply.text


async def test_getall_leaves_out_what_is_not_set_and_tells_no_secret(api):
    await api.v1("setlmcommsecret", secret="s3cret-between-units")

    reply = await api.v1("getall")

    assert "<hamode>0</hamode>" in reply.text
    assert "<localcert>Only available in HA mode</localcert>" in reply.text
    assert "hastatus" not in reply.text
    assert "geopartners" not in reply.text
    assert "s3cret-between-units" not in reply.text


async def test_listapi_names_what_is_there_and_nothing_else(api):
    v1 = await api.v1("listapi")
    v2 = await api.v2("listapi")

    assert "<cmd>get</cmd>" in v1.text
    assert "<cmd>agentwatch</cmd>" in v1.text
    assert "factoryreset" not in v1.text
    assert v2.json["commands"] == sorted(dispatch.registry())
    assert v2.json["version"] == "7.2.54.12.1.AGENT"


# The API's own switch


async def test_a_disabled_api_answers_404_but_to_the_call_that_enables_it(api):
    assert (await api.v1("set", param="enableapi", value="no")).status == 200
    assert (await api.v1("get", param="version")).status == 404
    assert (await api.v2("get", param="version")).status == 404
    assert (await api.v1("set", param="hostname", value="x")).status == 404
    wrong = await api.ask("GET", "/access/set?param=enableapi&value=yes", None, api.basic("bal", "wrong one"))
    assert wrong.status == 401

    assert (await api.v1("set", param="enableapi", value="1")).status == 422
    assert (await api.v1("set", param="enableapi", value="yes")).status == 200
    assert (await api.v1("get", param="version")).status == 200


async def test_v2_enables_the_api_with_true_and_the_other_name_of_the_value(api):
    await api.v2("set", param="enableapi", value=False)

    assert (await api.v2("set", param="enableapi", val=True)).status == 200
    assert (await api.v2("get", param="enableapi")).json["enableapi"] is True


# The secret


@pytest.mark.parametrize("secret", ["seven77", "with a space 1", "it's not allowed", "x" * 128])
async def test_a_secret_of_another_form_is_refused_without_showing_it(api, secret):
    reply = await api.v2("setlmcommsecret", secret=secret)

    assert reply.status == 422
    assert secret not in reply.json["message"]
    assert api.unit.settings.snapshot.get(Kind.SECRET, "partner") is None


async def test_every_character_that_kemp_allows_is_taken(api):
    secret = '!"#$%&()*+,-./:;<=>?[\\~]^_@`{|}aZ9'

    assert (await api.v1("setlmcommsecret", secret=secret)).status == 200
    assert api.unit.settings.snapshot.get(Kind.SECRET, "partner")["value"] == secret


# What a node agent has not


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("licenseinfo", "needs no licence"),
        ("shutdown", "does not shut its machine down"),
        ("restorepatch", "package"),
    ],
)
async def test_what_only_an_appliance_has_is_refused_with_the_reason(api, command, said):
    reply = await api.v1(command)

    assert reply.status == 422
    assert said in reply.text


async def test_a_patch_is_refused_in_v1_and_not_known_to_v2(api):
    v1 = await api.v1("installpatch", data=b"a patch")
    v2 = await api.v2("installpatch", data="YSBwYXRjaA==")

    assert v1.status == 422
    assert "updated by its package" in v1.text
    assert "API v1 only" in v2.json["message"]


# Text


async def test_text_beyond_latin_1_comes_back_whole(api):
    await api.v1("azurehaparam", partner="10.0.2.5")
    api.unit.is_in(UnitState.ACTIVE)
    await api.v2("useraddlocal", user="ann", password="пароль-日本")

    reply = await api.ask("GET", "/access/get?param=version", None, api.basic("ann", "пароль-日本"))

    assert reply.status == 200


# Two units


def partner(mode, state):
    return Report("boot", mode, state, PreferredHost.MASTER, 8444, healthy=True, active_for=0, healthy_for=9)


async def test_the_role_of_the_partner_is_not_taken_too(api):
    api.unit.current = replace(api.unit.current, partner=partner(Mode.MASTER, UnitState.ACTIVE))

    refused = await api.v1("azurehamode", hamode="first")
    taken = await api.v1("azurehamode", hamode="second")

    assert refused.status == 422
    assert "the partner is master already" in refused.text
    assert taken.status == 200


async def test_the_status_tells_the_partner_the_link_and_the_findings(api):
    api.unit.current = replace(
        api.unit.current,
        mode=Mode.SLAVE,
        state=UnitState.STANDBY,
        active_since=None,
        partner=partner(Mode.MASTER, UnitState.ACTIVE),
        notices=(Notice("CheckPortDiffers", "The partner answers on 8445."),),
    )
    api.unit.link = PartnerLinkStatus(
        connected=True,
        peer="10.0.2.5",
        refused={"Unauthorised": 3, "Timeout": 0},
        bytes_in=10,
        bytes_out=20,
        lag=2,
        lag_seconds=130.4,
    )

    reply = (await api.v2("agentstatus")).json

    assert (reply["mode"], reply["state"], reply["activeseconds"]) == ("Slave", "Standby", 0)
    assert (reply["partner"], reply["partnermode"], reply["partnerstate"]) == ("10.0.2.5", "Master", "Active")
    assert reply["partnerconnected"] is True
    assert reply["linkrefusals"] == ["Unauthorised 3"]
    assert reply["synclag"] == 2
    assert reply["synclagseconds"] == 130
    assert reply["notices"] == ["CheckPortDiffers: The partner answers on 8445."]
    assert (
        "<linkrefusals>\n<refusal>Unauthorised 3</refusal>\n</linkrefusals>"
        in (await api.v1("agentstatus")).text
    )


async def test_what_is_already_so_is_not_written_again(api):
    wishes = [
        ("azurehamode", {"hamode": "first"}),
        ("azurehaparam", {"partner": "10.0.2.5", "hcp": "8444", "haprefered": "1", "hcai": "0"}),
        ("setlmcommsecret", {"secret": "0123456789"}),
        ("set", {"param": "geopartners", "value": "10.1.0.4 10.1.0.5"}),
        ("set", {"param": "hostname", "value": "lm-0"}),
        ("agentsetparams", {"frontend": "10.0.2.100", "probeinterval": "5"}),
    ]
    for command, parameters in wishes:
        assert (await api.v1(command, **parameters)).status == 200
    written = []
    api.unit.settings.subscribe(written.append)

    for command, parameters in wishes:
        assert (await api.v1(command, **parameters)).status == 200

    assert written == []


async def test_the_family_of_another_cloud_is_not_pretended(api):
    assert (await api.v1("awshamode", hamode="first")).status == 405
    assert "awshamode" not in (await api.v1("listapi")).text
