"""Request budgets: token buckets per kind, scaled, with the time to wait."""

from tests.support.emulator_bodies import HERE

PATH = "/subscriptions"


async def spend(azure, number, headers=None):
    return [(await azure.arm("GET", PATH, headers=headers)).status for _ in range(number)]


async def test_reads_run_out_and_come_back(serve, clock):
    azure = await serve(throttle=0.04)  # 10 reads and 1 a second, 8 writes and 0.4 a second
    assert await spend(azure, 10) == [200] * 10
    refused = await azure.arm("GET", PATH)
    assert (refused.status, refused.code) == (429, "SubscriptionRequestsThrottled")
    assert refused.headers["retry-after"] == "1"
    assert (await azure.arm("PUT", azure.group("edge"), HERE)).status == 201
    clock.forward(3)
    assert await spend(azure, 4) == [200, 200, 200, 429]


async def test_the_remaining_number_is_told(serve, clock):
    azure = await serve(throttle=0.04)
    first, second = [await azure.arm("GET", PATH) for _ in range(2)]
    name = "x-ms-ratelimit-remaining-subscription-reads"
    assert (first.headers[name], second.headers[name]) == ("9", "8")


async def test_the_network_provider_has_a_budget_of_its_own(serve, clock):
    azure = await serve(throttle=0.01)  # provider: 10 writes in five minutes; ARM: 2 writes, 0.1 a second
    await azure.arm("PUT", azure.group("edge"), HERE)
    codes = []
    for number in range(12):
        clock.forward(20)
        answer = await azure.arm("PUT", azure.network("networkSecurityGroups", f"nsg{number}"), HERE)
        codes.append(answer.status)
    assert codes.count(429) == 0  # 20 s give back 0.67 of a token each: the tenth of a bucket is not reached
    for number in range(20):
        clock.forward(10.1)
        answer = await azure.arm("PUT", azure.network("networkSecurityGroups", f"nsg{number}"), HERE)
        if answer.status == 429:
            break
    assert (answer.status, answer.code) == (429, "TooManyRequests")
    assert int(answer.headers["retry-after"]) > 1


async def test_throttling_is_off_by_default_and_can_be_switched_on(azure):
    assert await spend(azure, 300) == [200] * 300
    answer = await azure.send("PUT", "/_emulator/throttle", {"factor": 0.004})
    assert answer.status == 200
    assert await spend(azure, 2) == [200, 429]
    await azure.send("PUT", "/_emulator/throttle", {"factor": 0})
    assert await spend(azure, 2) == [200, 200]
    assert (await azure.send("PUT", "/_emulator/throttle", {"factor": -1})).status == 400
