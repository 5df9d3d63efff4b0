"""What a script asks for: a Python and packages, by its settings and by the block of PEP 723 in its source."""

import hashlib
import re
import tomllib
from dataclasses import dataclass

from core.errors import InvalidInput

MAX_LINES = 500
# The block as PEP 723 has it: every line of it is a comment.
_BLOCK = re.compile(r"(?m)^# /// script[ \t]*$\s(?P<content>(^#(| .*)$\s?)+)^# ///[ \t]*$")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# A name, extras, then versions, an https address of a wheel, or markers. Options, paths and other lines are none.
_LINE = re.compile(rf"^({_NAME})\s*(\[[A-Za-z0-9._\-, ]*\])?\s*(?P<rest>.*)$")
_VERSIONS = re.compile(r"^(\(?\s*(===|==|~=|!=|<=|>=|<|>)[^;@$`]*)?(;[^$`]*)?$")
_ADDRESS = re.compile(r"^@\s*https://[^\s$`]+\.whl(#[^\s$`]*)?(\s*;[^$`]*)?$")
_VERSION = re.compile(r"^3\.\d{1,2}(\.\d{1,3})?$")
_CLAUSE = re.compile(r"^(===|==|~=|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)(\.\*)?$")


@dataclass(frozen=True, slots=True)
class Wish:
    """A Python (`""`: the platform's own, `"3.11"`, `"3.11.7"`), what the source says of it, and requirements line by line."""

    python_version: str = ""
    requires_python: str = ""
    requirements: str = ""

    @property
    def is_empty(self) -> bool:
        """Then the platform's own interpreter will do, without an environment."""
        return not (self.python_version or self.requires_python or self.requirements)

    @property
    def digest(self) -> str:
        parts = "\0".join((self.python_version, self.requires_python, self.requirements))
        return hashlib.sha256(parts.encode()).hexdigest()


def wish_of(python_version: str, requirements: str, source: str) -> Wish:
    """What settings and source ask for together; InvalidInput when the block in the source cannot be read."""
    block = read_block(source)
    given = block.get("dependencies", [])
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise InvalidInput.of("source", "In the script's block (PEP 723) `dependencies` is no list of texts.")
    requires = block.get("requires-python", "")
    if not isinstance(requires, str):
        raise InvalidInput.of("source", "In the script's block (PEP 723) `requires-python` is no text.")
    lines = dict.fromkeys(clean_requirements("\n".join([requirements, *given])).splitlines())
    return Wish(python_version, requires.strip(), "\n".join(lines))


def read_block(source: str) -> dict[str, object]:
    """The metadata that the source carries, empty when it carries none; the rules and the pattern are PEP 723's."""
    found = list(_BLOCK.finditer(source.replace("\r\n", "\n") + "\n"))
    if not found:
        return {}
    if len(found) > 1:
        raise InvalidInput.of("source", "The script has several blocks of PEP 723; it may have one.")
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in found[0]["content"].splitlines())
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput.of("source", f"The script's block (PEP 723) cannot be read: {error}.") from None


def clean_requirements(text: str) -> str:
    """The requirements without comments and empty lines; InvalidInput names the first line that is none.

    Options, files and `${NAME}` are refused: the resolver would read the platform's own files and variables for them.
    """
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        requirement = re.sub(r"(^|\s)#.*$", "", line).strip()
        if requirement:
            lines.append(_checked(requirement, number))
    if len(lines) > MAX_LINES:
        raise InvalidInput.of("requirements", f"These are more than {MAX_LINES} lines.")
    return "\n".join(lines)


def _checked(line: str, number: int) -> str:
    match = _LINE.match(line)
    rest = match["rest"] if match else ""
    if match and line.isprintable() and not line.endswith("\\") and (_VERSIONS.match(rest) or _ADDRESS.match(rest)):
        return line
    shown = line[:60].encode("ascii", "replace").decode()
    raise InvalidInput.of(
        "requirements",
        f"Line {number} ({shown}) is no requirement such as `requests>=2.31`. Options, files and paths cannot be used here; "
        "of addresses only those of wheels by https.",
    )


def name_of(requirement: str) -> str:
    """The package's name, as packages are compared: lower case, one hyphen for each run of `-_.`."""
    match = _LINE.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def check_python(version: str) -> str:
    """The version, if one can ask for it so; InvalidInput else."""
    if version and not _VERSION.match(version):
        raise InvalidInput.of("python_version", "Write a version such as 3.12 or 3.12.1, or leave it empty for the platform's own.")
    return version


def satisfies(version: str, requires: str) -> bool:
    """Does a Python of this version fit `requires-python`? InvalidInput when that cannot be read."""
    return all(_holds(_numbers(version), clause.strip()) for clause in requires.split(",") if clause.strip())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _holds(version: tuple[int, ...], clause: str) -> bool:
    match = _CLAUSE.match(clause)
    if match is None:
        raise InvalidInput.of("source", f"`requires-python` of the script's block (PEP 723) has a part that cannot be read: {clause[:60]}")
    operator, wanted = match[1], _numbers(match[2])
    if match[3]:
        return (version[: len(wanted)] == wanted) == (operator == "==")
    if operator == "~=":
        return version >= wanted and version[: len(wanted) - 1] == wanted[:-1]
    width = max(len(version), len(wanted))
    left, right = (numbers + (0,) * (width - len(numbers)) for numbers in (version, wanted))
    outcomes = {"==": left == right, "===": left == right, "!=": left != right, "<=": left <= right, ">=": left >= right,
                "<": left < right, ">": left > right}  # fmt: skip
    return outcomes[operator]
