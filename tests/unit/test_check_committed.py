import pytest

import check_committed


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"index = https://" + b"pypi" + b".org/simple", "address of a package registry"),
        (b"a\nb http://" + b"registry" + b".npmjs.org/x", "address of a package registry"),
        (b"see /" + b"work/shared/design.md", "path of one machine"),
        (b"cache: /" + b"root/.cache", "path of one machine"),
        (b"x\n" + b"<" * 7 + b" HEAD\n", "mark of a merge conflict"),
        (b"\x7fELF\x00", "a binary"),
        (b"a" * 1_000_001, "bytes"),
    ],
)
def test_what_does_not_belong_in_git_is_found(content, rule):
    found = list(check_committed.findings("some/file", content))
    assert len(found) == 1
    assert rule in found[0]
    assert found[0].startswith("some/file")


def test_a_finding_names_its_line():
    (found,) = check_committed.findings("some/file", b"one\ntwo\n/" + b"root/x\n")
    assert found.startswith("some/file:3: ")


@pytest.mark.parametrize(
    "content",
    [
        b"# install uv from PyPI",
        b"go.opentelemetry.io/otel v1.0.0 h1:abc=",
        b"GET /subscriptions/1/framework/rooted",
        b"spec: {path: ./home/x, network/roots: 1}",
    ],
)
def test_ordinary_text_passes(content):
    assert list(check_committed.findings("some/file", content)) == []
