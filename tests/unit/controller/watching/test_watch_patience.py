"""How long an agent may keep a question: so that those begun together do not end together."""

import pytest

from loadmaster_ha.controller.watching.management import patience


@pytest.mark.parametrize(
    ("first", "least", "most"),
    [pytest.param(True, 3, 30, id="the first"), pytest.param(False, 27, 33, id="any other")],
)
def test_a_question_may_be_kept_for_a_time_that_is_cast(first, least, most):
    found = {patience(first=first, dice=lambda share=share: share / 100) for share in range(101)}
    assert found == set(range(least, most + 1))
