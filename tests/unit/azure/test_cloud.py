"""Endpoints of clouds, and where a token may go."""

import pytest

from loadmaster_ha.azure import cloud
from loadmaster_ha.azure.cloud import Cloud, CloudInvalid


@pytest.mark.parametrize("name", ["AzureCloud", "azurecloud", "AzureChinaCloud", "AzureUSGovernment"])
def test_microsofts_clouds_are_known_by_name(name):
    found = cloud.named(name)

    assert found.name.lower() == name.lower()
    assert found.known_authority
    assert found.scope == f"{found.resource_manager_url}/.default"


def test_another_name_is_refused_with_the_known_ones():
    with pytest.raises(CloudInvalid, match="AzureUSGovernment"):
        cloud.named("AzureMoon")


def test_a_custom_cloud_needs_its_resource_manager_only():
    custom = Cloud.custom("https://localhost:8453/")

    assert custom.authority_url == custom.audience == "https://localhost:8453"
    assert custom.scope == "https://localhost:8453/.default"
    assert not custom.known_authority


@pytest.mark.parametrize("url", ["http://localhost:8453", "localhost:8453", "https://", ""])
def test_without_tls_there_is_no_cloud(url):
    with pytest.raises(CloudInvalid, match="https"):
        Cloud.custom(url)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CloudInvalid, match=str(path)):
        Cloud.custom("https://localhost", ca_file=path).ssl_context()


def test_certificates_are_verified():
    context = cloud.PUBLIC.ssl_context()

    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://management.azure.com/subscriptions/x?s=1", True),
        ("https://MANAGEMENT.azure.com:443/x", True),
        ("https://westeurope.management.azure.com/x", True),
        ("http://management.azure.com/x", False),
        ("https://management.azure.com.evil.example/x", False),
        ("https://evilmanagement.azure.com/x", False),
        ("https://management.azure.com@evil.example/x", False),
        ("https://x@management.azure.com/x", False),
        ("https://management.azure.com:8443/x", False),
        ("https:///x", False),
        ("/subscriptions/x", False),
        ("", False),
    ],
)
def test_a_token_goes_to_resource_manager_only(url, trusted):
    assert cloud.PUBLIC.trusts(url) is trusted
