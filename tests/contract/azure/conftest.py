"""A session of the operator against a scripted Resource Manager."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from tests.support.scripted_arm import ScriptedArm

from loadmaster_ha.azure.cloud import Cloud
from loadmaster_ha.azure.credentials import ClientSecret
from loadmaster_ha.azure.sdk import SdkTransport
from loadmaster_ha.azure.session import AzureSession

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
CREDENTIALS = ClientSecret(
    "99999999-8888-7777-6666-555555555555", "00000000-0000-0000-0000-0000000000aa", "s3cr3t~of~the~tests"
)


@pytest.fixture
async def arm(tmp_path) -> AsyncIterator[ScriptedArm]:
    async with ScriptedArm(tmp_path) as server:
        yield server


@pytest.fixture
async def connect(arm) -> AsyncIterator[Callable[..., AzureSession]]:
    """Give a function that makes a session with the scripted server; all are closed afterwards."""
    async with AsyncExitStack() as opened:

        def make(credentials=CREDENTIALS, **options) -> AzureSession:
            cloud = Cloud.custom(arm.url, ca_file=arm.ca_file)
            session = AzureSession(SdkTransport(SUBSCRIPTION, credentials, cloud), **options)
            opened.push_async_callback(session.close)
            return session

        yield make


@pytest.fixture
async def session(connect) -> AzureSession:
    return connect()
