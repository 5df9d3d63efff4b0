import pytest

from core.errors import InvalidInput
from core.names import clean_name, first_free, safe_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Hello World", "hello-world"), ("API Call #1", "api-call-1"), ("../../etc", "etc"), ("Überblick", "uberblick"), ("天气", "thread")],
)
def test_names_become_safe(name: str, expected: str) -> None:
    assert safe_name(name, "thread") == expected


def test_the_second_of_a_name_gets_a_suffix() -> None:
    assert first_free("hello-world", {"hello-world"}) == "hello-world-2"
    assert first_free("hello-world", {"hello-world", "hello-world-2"}) == "hello-world-3"


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "!!!", "a\0b"])
def test_names_that_name_nothing_are_refused_by_field(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        clean_name(name)
    assert refusal.value.fields["name"]


def test_the_same_name_gets_a_suffix_within_a_team(make_thread) -> None:
    assert [make_thread("Hello World").safe_name for _ in range(2)] == ["hello-world", "hello-world-2"]
