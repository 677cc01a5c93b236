"""Each write to ARM of a pair's life goes wrong once, the operator alive: Azure ends where it would have."""

import asyncio

import pytest
from tests.support.arm_proxy import Moment
from tests.support.life import Phase, Trouble, assert_ends_the_same, end_operation, live, lose_response

TROUBLES = {
    "every response lost": (Moment.APPLIED, lose_response, False),
    "every operation failed": (Moment.BEFORE, end_operation("Failed"), True),
    "every operation cancelled": (Moment.BEFORE, end_operation("Canceled"), True),
}


@pytest.mark.timeout(590)
@pytest.mark.parametrize("shared_balancer", [False, True], ids=["own balancer", "shared balancer"])
async def test_trouble_at_every_write(stage, shared_balancer):
    kind = "shared" if shared_balancer else "own"  # both cases may meet on one emulator
    reference = await live(stage, f"reference-{kind}", shared_balancer=shared_balancer)
    assert all(reference.writes[phase] for phase in Phase), "a phase of the reference run wrote nothing"

    troubles = [
        Trouble(point, reference.writes, strike, repeated=repeated)
        for point, strike, repeated in TROUBLES.values()
    ]
    lives = await asyncio.gather(
        *(
            live(stage, f"trouble-{kind}-{number}", trouble, shared_balancer=shared_balancer)
            for number, trouble in enumerate(troubles)
        )
    )
    for trouble, life in zip(troubles, lives, strict=True):
        assert_ends_the_same(life, reference, trouble, marks_stay_after_delete=trouble.point is Moment.BEFORE)
