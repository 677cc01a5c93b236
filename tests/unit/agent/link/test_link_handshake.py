"""The handshake: both know the secret and see the same two certificates, or there is no link."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.agent.link.framing import Decoder, FramingError, Message
from loadmaster_ha.agent.link.handshake import Handshake, HandshakeFailed, Own, Refusal, Side

KEY = hashlib.sha256(b"the key of both").digest()
OTHER_KEY = hashlib.sha256(b"somebody else's").digest()
CERTIFICATE = {Side.DIALLER: b"D" * 32, Side.LISTENER: b"L" * 32}
STRANGER = b"S" * 32


def own(side, *, nonce=None, versions=(1, 1)):
    given_nonce = nonce or hashlib.sha256(side.value.encode()).digest()
    return Own(CERTIFICATE[side], "0.1.0", side.value[0].encode().hex() * 16, given_nonce, versions)


def handshake(side, *, key=KEY, peer=None, versions=(1, 1), nonce=None):
    return Handshake(side, own(side, versions=versions, nonce=nonce), peer or CERTIFICATE[side.other], key)


def messages(stream):
    decoder = Decoder()
    decoder.add(stream)
    found = []
    while (message := decoder.next_message()) is not None:
        found.append(message)
    return found


def converse(dialler, listener, *, alter=lambda _, data: data):
    """Carry bytes between the two until both are done; what each came to, and all that was sent."""
    machines = {Side.DIALLER: dialler, Side.LISTENER: listener}
    outcomes = {}
    wire = [(side, alter(side, machine.start())) for side, machine in machines.items()]
    sent = list(wire)
    while wire:
        side, data = wire.pop(0)
        receiver = side.other
        if receiver in outcomes:
            continue
        try:
            for message in messages(data):
                step = machines[receiver].receive(message)
                if step.send:
                    wire.append((receiver, alter(receiver, step.send)))
                    sent.append(wire[-1])
                if step.agreed:
                    outcomes[receiver] = step.agreed
        except HandshakeFailed as failure:
            outcomes[receiver] = failure
            if farewell := failure.farewell():
                wire.append((receiver, farewell))
                sent.append(wire[-1])
        except FramingError as error:
            outcomes[receiver] = error
    return outcomes, sent


def reasons(outcomes):
    return {
        side: failure.reason for side, failure in outcomes.items() if isinstance(failure, HandshakeFailed)
    }


def test_both_agree_when_they_know_the_secret():
    outcomes, _ = converse(handshake(Side.DIALLER), handshake(Side.LISTENER))
    assert outcomes[Side.DIALLER].version == outcomes[Side.LISTENER].version == 1
    assert outcomes[Side.DIALLER].hello.instance == own(Side.LISTENER).instance
    assert outcomes[Side.LISTENER].hello.agent_version == "0.1.0"


@pytest.mark.parametrize("wrong", list(Side))
def test_neither_agrees_when_the_secrets_differ(wrong):
    right = handshake(wrong.other)
    other = handshake(wrong, key=OTHER_KEY)
    pair = (right, other) if wrong is Side.LISTENER else (other, right)
    outcomes, _ = converse(*pair)
    assert reasons(outcomes) == {Side.DIALLER: Refusal.SECRET, Side.LISTENER: Refusal.SECRET}


def test_who_only_connects_gets_nothing_that_was_made_with_the_secret():
    _, sent = converse(handshake(Side.DIALLER, key=OTHER_KEY), handshake(Side.LISTENER))
    from_listener = [each.kind for side, data in sent if side is Side.LISTENER for each in messages(data)]
    assert from_listener == ["hello", "refused"]


@pytest.mark.parametrize("without", list(Side))
def test_a_side_without_a_secret_says_so(without):
    pair = [handshake(side, key=None if side is without else KEY) for side in (Side.DIALLER, Side.LISTENER)]
    outcomes, _ = converse(*pair)
    assert reasons(outcomes) == {Side.DIALLER: Refusal.NO_SECRET, Side.LISTENER: Refusal.NO_SECRET}
    assert not outcomes[without].by_partner
    assert "no Partner Shared Secret is set on this unit" in str(outcomes[without])


def test_somebody_in_between_with_a_certificate_of_his_own_is_found_out():
    dialler = handshake(Side.DIALLER, peer=STRANGER)
    listener = handshake(Side.LISTENER, peer=STRANGER)
    outcomes, _ = converse(dialler, listener)  # every byte is relayed as it is
    assert reasons(outcomes) == {Side.DIALLER: Refusal.SECRET, Side.LISTENER: Refusal.SECRET}


def test_a_proof_cannot_be_sent_back_to_its_maker():
    dialler = handshake(Side.DIALLER)
    hello = messages(dialler.start())[0]
    step = dialler.receive(Message("hello", {**hello.body, "nonce": "ab" * 32}, hello.encoded))
    with pytest.raises(HandshakeFailed, match="differ"):
        dialler.receive(messages(step.send)[0])


def test_what_was_recorded_of_an_earlier_connection_proves_nothing_in_a_later_one():
    _, recorded = converse(handshake(Side.DIALLER), handshake(Side.LISTENER))
    replayed = [data for side, data in recorded if side is Side.DIALLER]
    listener = handshake(Side.LISTENER, nonce=b"N" * 32)
    hello, proof = messages(b"".join(replayed))
    listener.receive(hello)
    with pytest.raises(HandshakeFailed, match="differ"):
        listener.receive(proof)


def test_a_unit_that_talks_to_itself_or_its_copy_is_told():
    dialler = handshake(Side.DIALLER, peer=CERTIFICATE[Side.DIALLER])
    with pytest.raises(HandshakeFailed, match="disk was copied") as caught:
        dialler.receive(messages(handshake(Side.LISTENER).start())[0])
    assert caught.value.reason is Refusal.SAME_CERTIFICATE


@pytest.mark.parametrize(
    ("one", "other", "spoken"),
    [((1, 1), (1, 2), 1), ((1, 2), (1, 2), 2), ((1, 2), (2, 3), 2), ((2, 3), (1, 2), 2)],
)
def test_releases_one_apart_speak_the_newest_version_that_both_know(one, other, spoken):
    outcomes, _ = converse(handshake(Side.DIALLER, versions=one), handshake(Side.LISTENER, versions=other))
    assert {outcome.version for outcome in outcomes.values()} == {spoken}


def test_releases_too_far_apart_say_which_versions_they_speak():
    outcomes, _ = converse(
        handshake(Side.DIALLER, versions=(1, 1)), handshake(Side.LISTENER, versions=(2, 3))
    )
    assert reasons(outcomes) == {Side.DIALLER: Refusal.VERSION, Side.LISTENER: Refusal.VERSION}
    assert "versions 1 to 1" in str(outcomes[Side.LISTENER])
    assert "2 to 3" in str(outcomes[Side.LISTENER])


def test_fields_that_a_later_release_adds_to_its_hello_do_not_matter():
    dialler = handshake(Side.DIALLER)
    hello = json.loads(dialler._hello)
    dialler._hello = json.dumps({**hello, "body": {**hello["body"], "compression": ["zstd"]}}).encode()
    outcomes, _ = converse(dialler, handshake(Side.LISTENER))
    assert {outcome.version for outcome in outcomes.values()} == {1}


def test_a_refusal_for_a_reason_of_a_later_release_is_a_refusal():
    dialler = handshake(Side.DIALLER)
    with pytest.raises(HandshakeFailed, match="no reason that this agent knows") as caught:
        dialler.receive(Message("refused", {"reason": "phase-of-the-moon"}))
    assert caught.value.farewell() == b""


@given(data=st.data())
def test_any_altered_byte_on_the_way_prevents_the_link(data):
    target = data.draw(st.sampled_from(list(Side)))
    turn = data.draw(st.integers(0, 1))
    count = {Side.DIALLER: 0, Side.LISTENER: 0}
    altered = False

    def flip(side, stream):
        nonlocal altered
        index, count[side] = count[side], count[side] + 1
        if side is not target or index != turn:
            return stream
        position = data.draw(st.integers(4, len(stream) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        altered = True
        return stream[:position] + bytes((stream[position] ^ bit,)) + stream[position + 1 :]

    outcomes, _ = converse(handshake(Side.DIALLER), handshake(Side.LISTENER), alter=flip)
    assert altered
    agreed = [side for side, outcome in outcomes.items() if not isinstance(outcome, Exception)]
    # The listener's last word may be spoilt after it has agreed; the dialler then ends the connection.
    allowed = [[], [Side.LISTENER]] if (target, turn) == (Side.LISTENER, 1) else [[]]
    assert agreed in allowed


@given(
    order=st.lists(st.sampled_from(["hello", "proof", "refused", "report", "sync"]), min_size=1, max_size=6),
    side=st.sampled_from(list(Side)),
    body=st.dictionaries(
        st.sampled_from(["min", "max", "agent", "instance", "nonce", "mac", "reason"]),
        st.none() | st.booleans() | st.integers(-5, 10**9) | st.text(max_size=70) | st.just("ab" * 32),
    ),
)
def test_messages_in_any_order_with_any_fields_never_authenticate_anybody(order, side, body):
    machine = handshake(side)
    machine.start()
    for kind in order:
        encoded = json.dumps({"kind": kind, "body": body}).encode()
        try:
            step = machine.receive(Message(kind, body, encoded))
        except HandshakeFailed:
            continue
        assert step.agreed is None


@given(length=st.integers(0, 400))
def test_a_truncated_conversation_waits_and_authenticates_nobody(length):
    _, recorded = converse(handshake(Side.DIALLER), handshake(Side.LISTENER))
    stream = b"".join(data for side, data in recorded if side is Side.DIALLER)
    listener = handshake(Side.LISTENER)
    steps = [listener.receive(message) for message in messages(stream[: min(length, len(stream) - 1)])]
    assert all(step.agreed is None for step in steps)
