"""Scripts and CSVs are judged in time, whatever they are made of."""

import resource
import time
from typing import Any

import pytest

from core.errors import InvalidInput
from threads.checks import check_csv, check_syntax
from threads.compiling import find_fault
from threads.services import save_draft

pytestmark = pytest.mark.once

CRASHES = "[a " + "for a in b " * 80_000 + "]"
FREEZES = "f'" + "{a}" * 300_000 + "'"
DEVOURS = "a+=[b.c(d)for e in f]\n" * 45_000


@pytest.mark.parametrize("source", [CRASHES, FREEZES, DEVOURS, "not " * 250_000 + "1"], ids=["crashes", "freezes", "devours", "nests"])
def test_a_source_that_breaks_the_compiler_is_refused_in_words(source: str) -> None:
    with pytest.raises(InvalidInput, match="The script is too complex to compile"):
        check_syntax(source)


def test_the_compiler_takes_no_time_of_the_process_that_asks() -> None:
    began = time.process_time()
    find_fault(FREEZES + "\n")
    assert time.process_time() - began < 2


def test_a_source_is_compiled_once() -> None:
    find_fault(FREEZES + "\n\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert find_fault(FREEZES + "\n\n") is not None
    assert resource.getrusage(resource.RUSAGE_CHILDREN) == before, "no child has run"


def test_what_is_found_names_its_place() -> None:
    fault = find_fault("print(1)\nif x\n    pass\n")
    assert fault is not None
    assert (fault.message, fault.line, fault.column) == ("Line 2, column 5 does not compile: expected ':'.", 2, 5)
    assert find_fault("x = '\\d'  # a warning is no fault\nasync def f(): await f()\n") is None
    assert find_fault("# -*- coding: latin-1 -*-\nx = 'ä'\n") is None


def test_a_fault_that_quotes_a_long_name_stays_short() -> None:
    name = "x" * 50_000
    fault = find_fault(f"def f({name}):\n    global {name}\n    {name}: int = 1\n")
    assert fault is not None
    assert len(fault.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a;b\n1,5;2\n",
        "a\tb\n1\t2\n",
        "a|b\n1|2\n",
        "one\n1\n",
        '"a,x";b\n"1,2,3";2\n',
        'a, b\n1, "x, y"\n',
        '"a\nb",c\n1,2\n',
    ],
)
def test_a_csv_is_read_by_the_delimiter_of_its_first_line(text: str) -> None:
    check_csv(text.encode())


@pytest.mark.parametrize(("text", "fault"), [("a;b\n1;2;3\n", "Line 2 of the CSV has 3 columns"), ("a,,c\n1,2,3\n", "Column 2")])
def test_a_csv_that_is_none_is_refused_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        check_csv(text.encode())


@pytest.mark.parametrize("text", ['"\n' * 4096, '"' * 8192, '",' * 4096, 'a"b,' * 2048, ";" * 900 + "\n"])
def test_quotes_without_sense_cost_no_time(text: str) -> None:
    began = time.process_time()
    try:
        check_csv(text.encode())
    except InvalidInput:
        pass
    assert time.process_time() - began < 1


def test_the_page_of_a_hostile_draft_is_shown_and_costs_once(people: Any, make_thread: Any, as_user: Any) -> None:
    thread = make_thread()
    save_draft(thread=thread, user=people.editor, source=FREEZES + "\n\n\n", revision=None)
    client = as_user(people.editor)
    began = time.process_time()
    assert "too complex to compile" in client.get(f"/threads/{thread.pk}").content.decode()
    assert time.process_time() - began < 2
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert client.get(f"/threads/{thread.pk}").status_code == 200
    assert resource.getrusage(resource.RUSAGE_CHILDREN) == before, "no child has run"
