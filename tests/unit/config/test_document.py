from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from teleclaude.config.document import DocumentError, parse_document


def test_lines_of_everything() -> None:
    document = parse_document(b"a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert document.values == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    assert document.lines[("a", "b")] == 2
    assert document.lines[("a", "c", 1)] == 5
    assert document.lines[("a", "c", 1, "d")] == 5
    assert document.plain == {("a", "b"): "1", ("a", "c", 1, "d"): "2"}


def test_quoted_text_and_merge_keys_are_plain_words() -> None:
    assert parse_document(b"\xef\xbb\xbf\"on\": 'no'\n<<: x\n=: y\n").values == {"on": "no", "<<": "x", "=": "y"}


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(alphabet="ab:-?[]{}#&*!|>'\"%@`\t\n 01.,~<=", max_size=60).map(str.encode)
    )
)
def test_anything_is_a_mapping_or_a_document_error(data: bytes) -> None:
    try:
        document = parse_document(data)
    except DocumentError as error:
        findings = error.findings
    else:
        findings = []
        assert isinstance(document.values, dict)
        assert not document.values or document.lines
    assert all(line >= 0 and what for line, _, what in findings)
