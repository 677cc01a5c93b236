"""A service published by Kemp's own client is served by both units; its certificate changes under load."""

import asyncio
import base64
import ssl

import pytest
from tests.support.kemp_client import KempClient
from tests.support.pem import self_signed, trusting

import kempclient
from bootstrap import BootstrapError
from lab.nodes import MANAGEMENT_PORT, PASSWORD
from lab.traffic import Client

PUBLISH = """
lm.create_certificate("site", "old.pem").save()
vs = lm.create_virtual_service(given["address"], 8080, "tcp")
vs.vstype = "http"
vs.sslacceleration = "Y"
vs.save()
vs.certfile = ["site"]
vs.update()
for address, port in given["servers"]:
    vs.create_real_server(address, port).save()
result = vs.index
"""


@pytest.fixture(scope="module")
def python():
    try:
        return kempclient.python()
    except BootstrapError as error:
        pytest.skip(f"Kemp's client cannot be installed here: {error}")


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])


async def test_both_units_serve_it_and_the_certificate_is_replaced_under_load(
    open_laboratory, python, tmp_path
):
    old, new = self_signed("old.example"), self_signed("new.example")
    (tmp_path / "old.pem").write_text(old)
    async with open_laboratory() as lab:
        await lab.start()
        active = lab.units[0]
        kemp = KempClient(
            python,
            MANAGEMENT_PORT,
            "bal",
            PASSWORD,
            tmp_path,
            host=active.address,
            enter=lab.places.client.enter_for_good,
        )
        servers = [(web.rpartition(":")[0], int(web.rpartition(":")[2])) for web in lab.web]
        await kemp.run(PUBLISH, address=active.address, servers=servers)

        async def shown(unit, certificate):
            async with asyncio.timeout(60):
                while True:
                    found = await Client(lab.places.client, unit.address, 8080, tls=trusting()).get()
                    if found.ok and found.certificate == certificate:
                        return
                    await asyncio.sleep(0.1)

        for unit in lab.units:
            await shown(unit, der(old))
        async with (
            lab.client_of(8080, tls=trusting()).steady(0.05) as log,
            lab.client_of(8080, source=1, tls=trusting()).kept_alive() as alive,
        ):
            await asyncio.sleep(0.5)
            await active.call(
                "addcert", cert="site", replace="1", data=base64.b64encode(new.encode()).decode()
            )
            for unit in lab.units:
                await shown(unit, der(new))
            await asyncio.sleep(0.5)
        assert log.failures() == []
        assert alive.failures() == []
        assert {request.certificate for request in log.requests} == {der(old), der(new)}
        assert log.requests[-1].certificate == der(new)
