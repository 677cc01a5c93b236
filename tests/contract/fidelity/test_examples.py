"""Microsoft's own examples as requests: the emulator has to answer each with a status that the example shows.

Every example runs in a subscription of its own, after what it takes for granted has been made. Answers have
to be as described (`swagger`). Where the resource could be made as the example shows it, every property of
the example's answer has to be in the emulator's too. The examples are written by hand, so the other
direction is not asked for, nor are their values.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from tests.contract.fidelity import known
from tests.support import azspecs
from tests.support.generated import check_block
from tests.support.likeness import by_shape
from tests.support.seeding import Seeder, SeedError
from tests.support.swagger import SwaggerValidator

if TYPE_CHECKING:
    from tests.support.armclient import ArmClient
    from tests.support.azspecs import Example

PAGE = azspecs.REPOSITORY / "docs" / "fidelity.md"


@dataclass
class Outcome:
    """What one example came to; `problems` are differences that are not known ones."""

    example: Example
    unsupported: str | None = None
    problems: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)


async def run(example: Example, client: ArmClient, subscription: str, validator: SwaggerValidator) -> Outcome:
    """Send one example; compare the answer."""
    outcome = Outcome(example, unsupported=known.reason_unsupported(example))
    if outcome.unsupported:
        return outcome
    seeder = Seeder(client, subscription, validator)
    try:
        alike = await seeder.prepare(example)
    except SeedError as error:
        outcome.problems.append(f"could not be prepared: {error}")
        return outcome
    query = {name: value for name, value in example.query.items() if name != "subscriptionId"}
    url = seeder.moved(example.path) + "?" + urlencode(query)
    answer = await client.send(example.method, url, seeder.moved(example.body))
    if answer.status not in example.responses:
        outcome.problems.append(
            f"{answer.status} instead of {sorted(example.responses)}: {answer.response_body}"
        )
        return outcome
    outcome.problems += map(str, validator.check(answer))
    wanted = example.responses[answer.status].get("body")
    if alike and wanted is not None and answer.response_body is not None:
        outcome.missing = {
            each.where for each in by_shape(wanted, answer.response_body) if each.what == "missing"
        }
    unexplained = {where for where in outcome.missing if not known.reason_missing(example, where)}
    outcome.problems += sorted(f"{where} is missing" for where in unexplained)
    return outcome


async def test_every_example_is_answered_as_it_shows(azure):
    folder = azspecs.require()
    examples = list(azspecs.examples(folder))
    subscriptions = [str(uuid.UUID(int=number + 1)) for number in range(len(examples))]
    outcomes = []
    async with azure(*subscriptions, latency=0) as client:
        validator = SwaggerValidator(folder)
        for example, subscription in zip(examples, subscriptions, strict=True):
            outcomes.append(await run(example, client, subscription, validator))
    failed = {
        f"{each.example.operation_id} {each.example.file}": each.problems
        for each in outcomes
        if each.problems
    }
    assert not failed, "\n".join(f"{name}\n    " + "\n    ".join(each) for name, each in failed.items())
    assert not known.unused(outcomes), "reasons that explain nothing any more"
    check_block(PAGE, "examples", table(outcomes))


def table(outcomes: list[Outcome]) -> str:
    """The page's table: what was sent, what was not and why, which properties the emulator leaves out."""
    sent = [each for each in outcomes if each.unsupported is None]
    operations = {each.example.operation_id for each in sent}
    summary = (
        f"Of {len(outcomes)} examples {len(sent)} are sent, of {len(operations)} operations. All of "
        "them are answered with a status that the example shows, and as described."
    )
    lines = [summary, "", "| not emulated | examples | why |", "| --- | --- | --- |"]
    left_out = Counter(
        (each.unsupported, known.subject(each.example)) for each in outcomes if each.unsupported
    )
    for (reason, subject), count in sorted(left_out.items(), key=lambda item: item[0][1]):
        lines.append(f"| {subject} | {count} | {reason} |")
    lines += ["", "| property in an example's answer that the emulator's lacks | why |", "| --- | --- |"]
    reasons = {
        (re.sub(r"^/value/\*", "", where), known.reason_missing(each.example, where))
        for each in sent
        for where in each.missing
    }
    lines += [f"| `{where}` | {reason} |" for where, reason in sorted(reasons)]
    return "\n".join(lines)


@pytest.mark.parametrize("reason", sorted(set(known.UNSUPPORTED.values())))
def test_reasons_are_sentences_for_people(reason):
    assert len(reason.split()) > 3
