"""Events: told once, on transitions, whatever becomes of the process in between."""

import pytest

from loadmaster_ha.controller import events
from loadmaster_ha.controller.events import NOTE_LIMIT, Event, Recorder, change_applied, transitions
from loadmaster_ha.controller.kubernetes import KubernetesError
from loadmaster_ha.controller.lease import LeaseLost
from loadmaster_ha.planning.arm import network
from loadmaster_ha.planning.changes import Delete, Difference, Put, Section

PAIR = {
    "metadata": {"namespace": "edge", "name": "web", "uid": "u-1", "resourceVersion": "7", "generation": 1}
}
RESOURCE = network("s", "edge", "loadBalancers", "web-ilb")


class Server:
    def __init__(self, problem=None):
        self.created = []
        self.problem = problem

    async def create_event(self, namespace, event):
        if self.problem:
            raise self.problem
        self.created.append((namespace, event))


def condition(kind, status, reason, time="t"):
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "why",
        "lastTransitionTime": time,
        "observedGeneration": 1,
    }


async def test_an_event_has_what_the_api_asks_for():
    server = Server()
    await Recorder(server, instance="pod_1").record(PAIR, Event("Stalled", "why", "now", warning=True))
    ((namespace, body),) = server.created
    assert namespace == "edge"
    assert body["metadata"]["name"].startswith("web.")
    assert body["regarding"]["uid"] == "u-1"
    assert (body["type"], body["reason"], body["note"]) == ("Warning", "Stalled", "why")
    assert body["reportingController"] == "loadmaster.dev/operator"
    assert body["eventTime"].endswith("Z")


async def test_the_same_told_again_has_the_same_name_and_another_time_another():
    server = Server()
    recorder = Recorder(server, instance="pod_1")
    for occasion in ("one", "one", "two"):
        await recorder.record(PAIR, Event("Stalled", "why", occasion))
    names = [body["metadata"]["name"] for _, body in server.created]
    assert names[0] == names[1] != names[2]


async def test_a_long_note_is_shortened():
    server = Server()
    await Recorder(server, instance="p").record(PAIR, Event("Updated", "x" * 5000, "now"))
    assert len(server.created[0][1]["note"]) == NOTE_LIMIT


async def test_a_long_note_is_shortened_to_the_bytes_that_the_api_takes():
    server = Server()
    await Recorder(server, instance="p").record(PAIR, Event("Updated", "ü" * 5000, "now"))
    assert len(server.created[0][1]["note"].encode()) <= NOTE_LIMIT


async def test_an_event_that_cannot_be_written_does_not_stop_the_work(caplog):
    await Recorder(Server(KubernetesError(403, "Forbidden", "no")), instance="p").record(
        PAIR, Event("Synced", "", "now")
    )
    assert "could not be written" in caplog.text


async def test_without_the_lease_no_event_is_written_and_the_work_stops():
    with pytest.raises(LeaseLost):
        await Recorder(Server(LeaseLost("lost")), instance="p").record(PAIR, Event("Synced", "", "now"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], condition("Stalled", "True", "X"), ["Stalled"]),
        ([condition("Stalled", "True", "X")], condition("Stalled", "True", "X", "later"), []),
        ([condition("Stalled", "True", "X")], condition("Stalled", "True", "Y"), ["Stalled"]),
        ([condition("Stalled", "True", "X")], condition("Stalled", "False", "ProgressPossible"), ["Resumed"]),
        ([], condition("Stalled", "False", "ProgressPossible"), []),
        ([], condition("Paused", "True", "Suspended"), ["Suspended"]),
        ([condition("Paused", "True", "S")], condition("Paused", "False", "NotSuspended"), ["Unsuspended"]),
        (
            [condition("AzureSynced", "False", "Applying")],
            condition("AzureSynced", "True", "Synced"),
            ["Synced"],
        ),
        (
            [condition("AzureSynced", "True", "Synced")],
            condition("AzureSynced", "False", "Drift"),
            ["DriftFound"],
        ),
        ([condition("AzureSynced", "True", "Synced")], condition("AzureSynced", "Unknown", "Throttled"), []),
        ([condition("HASynced", "True", "Synced")], condition("HASynced", "False", "Drift"), ["DriftFound"]),
        ([condition("HASynced", "False", "Drift")], condition("HASynced", "True", "Synced"), []),
    ],
)
def test_only_transitions_are_told(before, after, told):
    assert [event.reason for event in transitions(before, [after])] == told


def test_writes_are_told_by_what_they_did():
    update = Put(Section.LOAD_BALANCER, RESOURCE, {}, "e", (Difference("sku", "a", "b"),))
    create = Put(Section.LOAD_BALANCER, RESOURCE, {}, None, ())
    remove = Delete(Section.LOAD_BALANCER, RESOURCE, None, "not wanted")
    assert change_applied(create, drift=False, occasion="").reason == "Created"
    assert change_applied(remove, drift=False, occasion="").reason == "Deleted"
    updated = change_applied(update, drift=False, occasion="")
    assert (updated.reason, updated.warning) == ("Updated", False)
    assert "sku: a, should be b" in updated.note
    repaired = change_applied(update, drift=True, occasion="")
    assert (repaired.reason, repaired.warning) == ("DriftRepaired", True)


def test_a_failed_operation_is_told_with_azures_words():
    from loadmaster_ha.azure.outcomes import Operation  # noqa: PLC0415 - only here

    event = events.operation_failed(Operation(RESOURCE, "PUT", "u", "Location", "t"), "Quota", "too many")
    assert event.warning
    assert "Quota: too many" in event.note
