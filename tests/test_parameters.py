"""Parameters as rows of text: what is typed, what it means, and that showing and saving changes nothing."""

from typing import Any

import pytest

from core.errors import InvalidInput
from core.parameters import check_parameters, from_rows, text_of, to_rows, value_of

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('["a", 2]', ["a", 2]),
        ('"10"', "10"),
        ("plain words", "plain words"),
        ("", ""),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("1e999", "1e999"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 5000, "9" * 5000),
        (r'"\ud800"', r'"\ud800"'),
        (r'"\u0000"', r'"\u0000"'),
    ],
)
def test_a_value_is_text_unless_it_reads_as_json_that_can_be_kept(text: str, value: Any) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("value", ["a", "10", "true", " spaced ", "two\nlines", '"', "", 10, 1.5, True, None, ["a"], {"b": [1]}, "天气"])
def test_what_is_shown_and_saved_again_is_what_it_was(value: Any) -> None:
    assert "\n" not in text_of(value)
    [(name, text)] = to_rows({"name": value})
    assert from_rows([name], [text]) == {"name": value}
    assert type(from_rows([name], [text])["name"]) is type(value)


@pytest.mark.parametrize(
    ("names", "values", "said"),
    [
        (["", "b"], ["1", "2"], "Parameter 1 has a value but no name."),
        (["a", "a"], ["1", "2"], "There are two parameters 'a'."),
        (["x" * 101], ["1"], "has 1 to 100 characters"),
        (["a\tb"], ["1"], "control characters"),
        (["a"], ["x" * 10_001], "has 10,001 characters; the limit is 10,000."),
        (["a"], ["\0"], "There is a NUL character in it."),
        ([f"n{n}" for n in range(51)], ["1"] * 51, "There are 51 parameters; the limit is 50."),
    ],
)
def test_rows_that_mean_nothing_are_refused(names: list[str], values: list[str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_rows(names, values)
    assert said in refused.value.fields["parameters"][0]


@pytest.mark.parametrize("value", ["x" * 10_001, list(range(4000)), {"text": "x" * 10_000}])
def test_no_door_takes_a_value_that_a_page_could_not_save_again(value: Any) -> None:
    with pytest.raises(InvalidInput, match="characters; the limit is 10,000"):
        check_parameters({"name": value})


@pytest.mark.parametrize("value", ["x" * 10_000, list(range(1800)), [1.5] * 1500])
def test_a_value_that_one_door_takes_is_taken_by_the_other(value: Any) -> None:
    [(name, text)] = to_rows(check_parameters({"name": value}))
    assert from_rows([name], [text]) == {"name": value}


def test_empty_rows_are_passed_over() -> None:
    assert from_rows(["", "a", " "], ["", "1", " "]) == {"a": 1}
