"""How few requests the shared snapshot needs, and that it never passes off something old as new.

The transport is an ARM of a few lines that holds resources, counts requests and can be held up.
"""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadmaster_ha.azure.outcomes import Done
from loadmaster_ha.azure.session import AzureSession
from loadmaster_ha.azure.snapshot import INTEREST, LIST_PAUSE, MOST_OFFERS, OFFER
from loadmaster_ha.azure.transport import ArmResponse, Verb
from loadmaster_ha.domain.reading import Absent, Present, Unknown
from loadmaster_ha.planning.arm import ResourceID, network
from loadmaster_ha.planning.changes import Delete, Put, Section
from loadmaster_ha.planning.observation import AddressQuestion

S = "11111111-2222-3333-4444-555555555555"
VNET = network(S, "edge", "virtualNetworks", "app")


def balancer(number=0, group="edge"):
    return network(S, group, "loadBalancers", f"web-{number}")


def nic(number=0, group="edge"):
    return network(S, group, "networkInterfaces", f"lm-{number}")


class Arm:
    """Resources by id; `requests` are (verb, name of the resource or type of the list)."""

    def __init__(self):
        self.resources = {}
        self.requests = []
        self.page_size = 1000
        self.list_answer = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.writes = 0

    def add(self, *ids, **properties):
        for resource in ids:
            self.writes += 1
            self.resources[resource] = {
                "id": str(resource),
                "etag": f"W/{self.writes}",
                "properties": properties,
            }

    async def send(self, request):
        label = request.resource.type.split("/")[1] if request.verb is Verb.LIST else request.resource.name
        self.requests.append((str(request.verb), label))
        if request.permit:
            request.permit()
        answer = self._answer(request)
        await self.gate.wait()
        await asyncio.sleep(0)
        return answer

    def _answer(self, request):
        if request.verb is Verb.LIST:
            return self._page(request)
        if request.verb is Verb.PUT:
            self.add(request.resource.top, **request.body.get("properties", {}))
            return ArmResponse(200, {}, self.resources[request.resource.top])
        if request.verb is Verb.DELETE:
            self.resources.pop(request.resource, None)
            return ArmResponse(204, {})
        if request.address:
            return ArmResponse(200, {}, {"available": True})
        found = self.resources.get(request.resource)
        if found is None:
            return ArmResponse(404, {}, {"error": {"code": "ResourceNotFound", "message": "m"}})
        return ArmResponse(200, {}, found)

    def _page(self, request):
        if self.list_answer:
            return self.list_answer
        here = [
            body
            for resource, body in self.resources.items()
            if resource.type == request.resource.type and resource.parent == request.resource.parent
        ]
        begin = int(request.url or 0)
        end = begin + self.page_size
        page = {"value": here[begin:end]} | ({"nextLink": str(end)} if end < len(here) else {})
        return ArmResponse(200, {}, page)

    async def close(self):
        pass

    def take(self):
        taken, self.requests = self.requests, []
        return taken


class Clock:
    now = 5000.0

    def __call__(self):
        self.now += 1e-6  # no two instants are the same
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def arm():
    return Arm()


@pytest.fixture
async def session(arm, clock):
    opened = AzureSession(arm, clock=clock)
    yield opened
    await opened.close()


def needs(*ids):
    return lambda _: ids


def put(resource, **properties):
    return Put(Section.LOAD_BALANCER, resource, {"properties": properties}, "W/1", ())


async def test_one_of_a_kind_is_read_alone_and_two_by_one_list(session, arm):
    arm.add(balancer(), nic(0), nic(1), nic(2))

    observation = await session.observe(needs(balancer(), nic(0), nic(1)))

    assert sorted(arm.take()) == [("GET", "web-0"), ("LIST", "networkInterfaces")]
    assert observation.get(nic(1)).id == nic(1)
    assert set(observation.resources) == {balancer(), nic(0), nic(1)}


async def test_what_is_needed_next_is_read_in_further_rounds_and_nothing_twice(session, arm):
    arm.add(balancer(), nic(0), VNET)

    def in_rounds(observation):
        known = [balancer()]
        if observation.knows(balancer()):
            known.append(nic(0))
        if observation.knows(nic(0)):
            known += [VNET, AddressQuestion(VNET, "10.0.0.9")]
        return known

    observation = await session.observe(in_rounds)

    assert arm.take() == [("GET", "web-0"), ("GET", "lm-0"), ("GET", "app"), ("GET", "app")]
    assert observation.addresses == {AddressQuestion(VNET, "10.0.0.9"): Present(True)}


async def test_many_pairs_that_look_one_after_another_share_one_list(session, arm, clock):
    arm.add(*(balancer(number) for number in range(100)))
    for number in range(100):
        await session.observe(needs(balancer(number)))
    arm.take()
    clock.now += 300

    for number in range(100):
        clock.now += 1
        await session.observe(needs(balancer(number)), max_age=200)

    assert arm.take() == [("LIST", "loadBalancers")]


async def test_many_pairs_that_look_at_the_same_time_share_one_request(session, arm):
    arm.add(balancer())
    arm.gate.clear()
    observers = [asyncio.create_task(session.observe(needs(balancer()))) for _ in range(50)]
    await asyncio.sleep(0.01)
    arm.gate.set()

    observations = await asyncio.gather(*observers)

    assert arm.take() == [("GET", "web-0")]
    assert all(observation.get(balancer()) for observation in observations)


async def test_one_who_stops_waiting_does_not_take_the_request_from_the_others(session, arm):
    arm.add(balancer())
    arm.gate.clear()
    first, second = (asyncio.create_task(session.observe(needs(balancer()))) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    arm.gate.set()

    assert (await second).get(balancer())
    assert arm.take() == [("GET", "web-0")]


async def test_the_age_that_a_caller_accepts_is_kept(session, arm, clock):
    arm.add(balancer())
    await session.observe(needs(balancer()))
    clock.now += 60

    await session.observe(needs(balancer()), max_age=61)
    assert len(arm.take()) == 1
    await session.observe(needs(balancer()), max_age=59)
    assert arm.take() == [("GET", "web-0")]
    await session.observe(needs(balancer()))
    assert arm.take() == [("GET", "web-0")]


async def test_after_a_write_just_that_resource_is_read_again(session, arm):
    arm.add(*(balancer(number) for number in range(5)))
    everything = needs(*(balancer(number) for number in range(5)))
    await session.observe(everything)
    arm.take()

    assert await session.apply(put(balancer(3), new=True), permit=lambda: None) == Done()
    observation = await session.observe(everything, max_age=3600)

    assert arm.take() == [("PUT", "web-3"), ("GET", "web-3")]
    assert observation.get(balancer(3)).properties == {"new": True}


async def test_writing_an_interface_makes_its_balancer_be_read_again_and_nobody_elses(session, arm):
    arm.add(balancer(0), balancer(1), nic(0), VNET)
    everything = needs(balancer(0), balancer(1), nic(0), VNET)
    await session.observe(everything)
    arm.take()
    pool = {"id": str(balancer(0).child("backendAddressPools", "lm_web_pool"))}
    subnet = {"id": str(VNET.child("subnets", "lb"))}

    await session.apply(
        put(nic(0), ipConfigurations=[{"pools": [pool], "subnet": subnet}]), permit=lambda: None
    )
    await session.observe(everything, max_age=3600)

    assert sorted(arm.take()) == [("GET", "lm-0"), ("GET", "web-0"), ("PUT", "lm-0")]


async def test_leaving_a_pool_makes_the_balancer_be_read_again_too(session, arm):
    pool = {"id": str(balancer(0).child("backendAddressPools", "lm_web_pool"))}
    arm.add(balancer(0))
    arm.add(nic(0), ipConfigurations=[{"pools": [pool]}])
    await session.observe(needs(balancer(0), nic(0)))
    arm.take()

    await session.apply(put(nic(0), ipConfigurations=[{"pools": []}]), permit=lambda: None)
    await session.observe(needs(balancer(0), nic(0)), max_age=3600)

    assert sorted(arm.take()) == [("GET", "lm-0"), ("GET", "web-0"), ("PUT", "lm-0")]


async def test_a_read_that_began_before_a_write_does_not_count_after_it(session, arm):
    arm.add(balancer(), old=True)
    arm.gate.clear()
    reading = asyncio.create_task(session.observe(needs(balancer())))
    await asyncio.sleep(0.01)
    writing = asyncio.create_task(session.apply(put(balancer(), old=False), permit=lambda: None))
    await asyncio.sleep(0.01)
    arm.gate.set()

    await writing
    observation = await reading
    again = await session.observe(needs(balancer()), max_age=3600)

    assert again.get(balancer()).properties == {"old": False}
    assert observation.get(balancer()).properties == {"old": False}


async def test_what_a_list_lacks_is_asked_for_once_by_itself(session, arm, clock):
    arm.add(nic(0))
    observation = await session.observe(needs(nic(0), nic(1)))

    assert arm.take() == [("LIST", "networkInterfaces"), ("GET", "lm-1")]
    assert observation.is_absent(nic(1))

    clock.now += 100
    assert (await session.observe(needs(nic(0), nic(1)))).is_absent(nic(1))
    assert arm.take() == [("LIST", "networkInterfaces")]


async def test_what_was_there_is_not_absent_because_a_list_lacks_it(session, arm, clock):
    arm.add(nic(0), nic(1))
    await session.observe(needs(nic(0), nic(1)))
    arm.list_answer = ArmResponse(200, {}, {"value": []})  # lists may lag behind
    clock.now += 100

    observation = await session.observe(needs(nic(0), nic(1)))

    assert observation.get(nic(0)) is not None
    assert observation.get(nic(1)) is not None


async def test_a_group_that_is_mostly_other_peoples_is_not_listed_for_a_while(session, arm, clock):
    arm.page_size = 10
    arm.add(*(nic(number) for number in range(100)))
    wanted = needs(nic(98), nic(99))

    assert (await session.observe(wanted)).get(nic(99)) is not None
    assert [verb for verb, _ in arm.take()] == ["LIST", "LIST", "GET", "GET"]

    clock.now += 100
    await session.observe(wanted)
    assert [verb for verb, _ in arm.take()] == ["GET", "GET"]

    clock.now += LIST_PAUSE
    await session.observe(wanted)
    assert arm.take()[0] == ("LIST", "networkInterfaces")


async def test_pages_end_when_everything_wanted_was_found(session, arm):
    arm.page_size = 10
    arm.add(*(nic(number) for number in range(100)))

    await session.observe(needs(nic(0), nic(1), nic(2)))

    assert arm.take() == [("LIST", "networkInterfaces")]


async def test_without_the_right_to_list_they_are_read_one_by_one(session, arm, clock):
    arm.add(nic(0), nic(1))
    denied = {"error": {"code": "AuthorizationFailed", "message": "no"}}
    arm.list_answer = ArmResponse(403, {}, denied)

    observation = await session.observe(needs(nic(0), nic(1)))

    assert isinstance(observation.read(nic(0)), Present)
    assert [verb for verb, _ in arm.take()] == ["LIST", "GET", "GET"]


async def test_a_missing_resource_group_is_told_by_one_list(session, arm):
    gone = {
        "error": {"code": "ResourceGroupNotFound", "message": "Resource group 'edge' could not be found."}
    }
    arm.list_answer = ArmResponse(404, {}, gone)

    observation = await session.observe(needs(nic(0), nic(1)))

    assert observation.read(nic(1)) == Absent("ResourceGroupNotFound", gone["error"]["message"])
    assert arm.take() == [("LIST", "networkInterfaces")]


async def test_a_list_that_fails_makes_its_resources_unknown_and_not_old(session, arm, clock):
    arm.add(nic(0), nic(1))
    await session.observe(needs(nic(0), nic(1)))
    arm.list_answer = ArmResponse(503, {}, {"error": {"code": "ServiceUnavailable", "message": "m"}})
    clock.now += 100

    observation = await session.observe(needs(nic(0), nic(1)))

    assert observation.read(nic(0)) == Unknown("ServiceUnavailable", "m")


async def test_groups_and_subscriptions_are_listed_apart(session, arm):
    arm.add(nic(0), nic(1, "other"))

    observation = await session.observe(needs(nic(0), nic(1, "other")))

    assert sorted(arm.take()) == [("GET", "lm-0"), ("GET", "lm-1")]
    assert observation.get(nic(1, "other")) is not None


async def test_ids_in_any_case_are_one_resource(session, arm):
    arm.add(nic(0))

    await session.observe(needs(nic(0), ResourceID.parse(str(nic(0)).upper())))

    assert len(arm.take()) == 1


async def test_an_unknown_type_is_unknown(session):
    odd = network(S, "edge", "applicationGateways", "x")

    assert (await session.observe(needs(odd, balancer()))).read(odd).reason == "UnsupportedType"


async def test_of_a_list_little_is_kept_that_nobody_asked_for_and_not_for_long(session, arm, clock):
    arm.add(*(nic(number) for number in range(MOST_OFFERS + 500)))
    arm.page_size = 10_000

    await session.observe(needs(nic(0), nic(1)))
    assert set(session._snapshot._entries) == {nic(0), nic(1)}
    assert len(session._snapshot._offers) == MOST_OFFERS

    clock.now += OFFER + 1
    await session.observe(needs(balancer()))
    assert session._snapshot._offers == {}


async def test_pairs_that_come_one_after_another_at_the_start_share_what_was_read(session, arm):
    pairs = range(100)
    arm.add(*(balancer(number) for number in pairs), *(nic(number) for number in range(200)))

    for number in pairs:
        observation = await session.observe(
            needs(balancer(number), nic(2 * number), nic(2 * number + 1)), max_age=200
        )
        assert len(observation.resources) == 3
        assert all(isinstance(reading, Present) for reading in observation.resources.values())

    assert sorted(arm.take()) == [("GET", "web-0"), ("LIST", "loadBalancers"), ("LIST", "networkInterfaces")]


async def test_what_was_written_is_not_taken_from_an_older_list(session, arm):
    arm.add(nic(0), nic(1), nic(2), old=True)
    await session.observe(needs(nic(0), nic(1)))
    await session.apply(put(nic(2), old=False), permit=lambda: None)

    observation = await session.observe(needs(nic(2)), max_age=3600)

    assert observation.get(nic(2)).properties == {"old": False}


async def test_what_nobody_asks_for_any_more_is_forgotten(session, arm, clock):
    arm.add(balancer(0), nic(0))
    await session.observe(needs(balancer(0), nic(0)))
    clock.now += INTEREST + 31

    await session.observe(needs(nic(0)))

    assert set(session._snapshot._entries) == {nic(0)}


async def test_an_answer_with_the_finished_resource_is_as_good_as_reading_it(session, arm):
    arm.add(nic(0))
    await session.observe(needs(nic(0)))
    arm.take()

    await session.apply(put(nic(0), provisioningState="Succeeded", new=True), permit=lambda: None)
    observation = await session.observe(needs(nic(0)), max_age=3600)

    assert arm.take() == [("PUT", "lm-0")]
    assert observation.get(nic(0)).properties["new"] is True
    assert observation.get(nic(0)).etag == arm.resources[nic(0)]["etag"]


async def test_an_answer_that_is_not_final_is_no_reading(session, arm):
    arm.add(nic(0))

    await session.apply(put(nic(0), provisioningState="Updating"), permit=lambda: None)
    await session.observe(needs(nic(0)), max_age=3600)

    assert arm.take() == [("PUT", "lm-0"), ("GET", "lm-0")]


async def test_a_free_address_is_asked_for_again_only_after_something_that_takes_addresses(session, arm):
    question = AddressQuestion(VNET, "10.0.0.9")
    rule = network(S, "edge", "networkSecurityGroups", "lm-nsg").child("securityRules", "lm_web_check")
    await session.observe(needs(question))

    await session.apply(put(rule), permit=lambda: None)
    await session.observe(needs(question), max_age=3600)
    assert arm.take().count(("GET", "app")) == 1

    await session.apply(put(nic(0)), permit=lambda: None)
    await session.observe(needs(question), max_age=3600)
    assert arm.take().count(("GET", "app")) == 1


async def test_answers_about_addresses_that_nobody_asks_for_any_more_are_not_kept(session, arm, clock):
    await session.observe(needs(*(AddressQuestion(VNET, f"10.0.0.{number}") for number in range(9))))
    clock.now += INTEREST + 31
    await session.observe(needs(AddressQuestion(VNET, "10.0.0.9"), nic(0)))
    assert len(session._snapshot._answers) == 1


async def test_a_deleted_resource_is_read_as_absent(session, arm):
    arm.add(balancer())
    await session.observe(needs(balancer()))

    await session.apply(Delete(Section.LOAD_BALANCER, balancer(), "W/1", "test"), permit=lambda: None)

    assert (await session.observe(needs(balancer()), max_age=3600)).is_absent(balancer())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.integers(0, 3)),
        st.tuples(st.just("look"), st.sets(st.integers(0, 3), min_size=1)),
        st.tuples(st.just("wait"), st.integers(1, 700)),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=80)
@given(steps=STEPS)
def test_our_own_writes_are_always_seen_whatever_age_is_accepted(steps):
    async def scenario():
        arm, clock = Arm(), Clock()
        session = AzureSession(arm, clock=clock)
        for number, (step, what) in enumerate(steps):
            if step == "write":
                await session.apply(put(nic(what), step=number), permit=lambda: None)
            elif step == "delete":
                await session.apply(Delete(Section.INTERFACES, nic(what), None, "test"), permit=lambda: None)
            elif step == "wait":
                clock.now += what
            else:
                observation = await session.observe(needs(*map(nic, what)), max_age=1e9)
                for each in what:
                    found = observation.get(nic(each))
                    assert (found.body if found else None) == arm.resources.get(nic(each))
        await session.close()

    asyncio.run(scenario())
