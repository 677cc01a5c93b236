"""Credentials from a Secret's data, and what refusals mean."""

import logging
from pathlib import Path

import pytest

from loadmaster_ha.azure import credentials
from loadmaster_ha.azure.credentials import (
    ClientSecret,
    CredentialsInvalid,
    OwnIdentity,
    WorkloadIdentity,
    fingerprint,
    read_secret,
)

CLIENT = "00000000-0000-0000-0000-0000000000aa"
TENANT = "99999999-8888-7777-6666-555555555555"


def test_a_service_principal_is_read_from_text_or_bytes():
    wanted = ClientSecret(TENANT, CLIENT, "s3cr3t")
    assert read_secret({"tenantID": TENANT, "clientID": CLIENT, "clientSecret": "s3cr3t"}) == wanted
    data = {
        "tenantID": TENANT.encode(),
        "clientID": CLIENT.encode(),
        "clientSecret": b"s3cr3t\n",
        "x": b"\xff",
    }
    assert read_secret(data) == wanted


def test_without_client_secret_it_is_workload_identity():
    data = {"tenantID": "contoso.onmicrosoft.com", "clientID": CLIENT}
    assert read_secret(data) == WorkloadIdentity("contoso.onmicrosoft.com", CLIENT, credentials.TOKEN_FILE)
    other = "/var/run/secrets/other/token"
    assert read_secret({**data, "tokenFile": other}).token_file == Path(other)


@pytest.mark.parametrize(
    ("data", "reason", "names"),
    [
        ({}, "SecretKeyMissing", "tenantID and no clientID"),
        ({"tenantID": TENANT}, "SecretKeyMissing", "no clientID"),
        ({"clientID": CLIENT, "tenantID": " "}, "SecretKeyMissing", "no tenantID"),
        (
            {"tenantID": TENANT, "clientID": CLIENT, "clientSecret": ""},
            "SecretKeyMissing",
            "clientSecret is empty",
        ),
        ({"tenantID": TENANT, "clientID": "an app"}, "SecretValueInvalid", "clientID"),
        ({"tenantID": "a/b", "clientID": CLIENT}, "SecretValueInvalid", "tenantID"),
        ({"tenantID": TENANT, "clientID": b"\xff\xfe"}, "SecretValueInvalid", "clientID"),
        (
            {"tenantID": TENANT, "clientID": CLIENT, "tokenFile": "/etc/shadow"},
            "SecretValueInvalid",
            "tokenFile",
        ),
        (
            {"tenantID": TENANT, "clientID": CLIENT, "tokenFile": "/var/run/secrets/../../../etc/shadow"},
            "SecretValueInvalid",
            "tokenFile",
        ),
        (
            {"tenantID": TENANT, "clientID": CLIENT, "clientSecret": "s3cr3t", "tokenFile": "/x"},
            "SecretAmbiguous",
            "tokenFile",
        ),
    ],
)
def test_what_is_wrong_in_a_secret_is_named_and_never_shown(data, reason, names):
    with pytest.raises(CredentialsInvalid, match=names) as invalid:
        read_secret(data)

    assert invalid.value.reason == reason
    assert "s3cr3t" not in invalid.value.message


def test_a_secret_has_no_representation():
    assert "s3cr3t" not in repr(ClientSecret(TENANT, CLIENT, "s3cr3t"))
    assert "s3cr3t" not in str(ClientSecret(TENANT, CLIENT, "s3cr3t"))


def test_fingerprints_tell_credentials_apart_and_hide_the_secret():
    seen = {
        fingerprint(ClientSecret(TENANT, CLIENT, "one")),
        fingerprint(ClientSecret(TENANT, CLIENT, "two")),
        fingerprint(WorkloadIdentity(TENANT, CLIENT)),
        fingerprint(OwnIdentity()),
    }
    assert len(seen) == 4
    assert fingerprint(ClientSecret(TENANT, CLIENT, "one")) in seen
    assert not any("one" in found for found in seen)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("AADSTS7000215: Invalid client secret provided.", "InvalidClientSecret"),
        ("AADSTS7000222: The provided client secret keys for app 'x' are expired.", "ClientSecretExpired"),
        ("AADSTS700016: Application with identifier 'x' was not found.", "ApplicationNotFound"),
        ("AADSTS90002: Tenant 'x' not found.", "TenantNotFound"),
        ("AADSTS700213: No matching federated identity record found.", "FederatedCredentialMismatch"),
        ("AADSTS99999999: Something new.", "SignInRefused"),
        ("no code at all", "SignInRefused"),
        ("", "SignInRefused"),
    ],
)
def test_sign_in_errors_have_reasons_and_remedies(text, reason):
    refused = credentials.refusal(f"Authentication failed: {text}\nTrace ID: 1234\nCorrelation ID: 5678")

    assert refused.reason == reason
    assert text in refused.message
    assert "1234" not in refused.message


async def test_an_own_identity_that_is_not_there_says_how_to_give_one(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)

    class Nothing:
        async def get_token_info(self, *_, **__):
            raise credentials.CredentialUnavailableError("EnvironmentCredential: not configured")

    with pytest.raises(credentials.SignInRefused, match="credentialsSecretRef") as refused:
        await credentials.SignIn(Nothing(), "https://login.microsoftonline.com").get_token_info("scope")

    assert refused.value.reason == "NoIdentity"


async def test_a_refusal_is_repeated_for_a_minute_without_asking():
    now = 0.0
    asked = []

    class Refusing:
        async def get_token_info(self, *_, **__):
            asked.append(now)
            raise credentials.ClientAuthenticationError("AADSTS7000215: Invalid client secret provided.")

    sign_in = credentials.SignIn(Refusing(), "https://login", clock=lambda: now)
    for now in (0.0, 1.0, 59.0, 61.0, 62.0):  # noqa: B007 - the clock reads it
        with pytest.raises(credentials.SignInRefused, match="secret is wrong"):
            await sign_in.get_token("scope")

    assert asked == [0.0, 61.0]
