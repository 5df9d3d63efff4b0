"""What a script asks for: a Python and packages, by its settings and by the block of PEP 723 in its source."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from core.errors import InvalidInput

MAX_LINES = 500
# Of `requires-python`: as much as a build's row takes.
MAX_REQUIRES = 200
# The block as PEP 723 has it: every line of it is a comment.
_BLOCK = re.compile(r"(?m)^# /// script[ \t]*$\s(?P<content>(^#(| .*)$\s?)+)^# ///[ \t]*$")
_VERSION = re.compile(r"^3\.\d{1,2}(\.\d{1,3})?$")


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
    if len(requires) > MAX_REQUIRES or not requires.isprintable():
        raise InvalidInput.of("source", f"`requires-python` of the script's block (PEP 723) is no text of up to {MAX_REQUIRES} characters.")
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
    # A number of thousands of digits, brackets thousands deep: what Python itself says of these is no error of TOML's.
    except (ValueError, RecursionError) as error:
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
    requirement = _requirement(line)
    if requirement and (requirement.url is None or _is_wheel(requirement.url)):
        return line
    shown = "".join(char if char.isascii() and char.isprintable() else "?" for char in line[:60])
    raise InvalidInput.of(
        "requirements",
        f"Line {number} ({shown}) is no requirement such as `requests>=2.31`. Options, files and paths cannot be used here; "
        "of addresses only those of wheels by https.",
    )


def _requirement(line: str) -> Requirement | None:
    """The line as the standard has it (PEP 508): a name, extras, versions or an address, markers; None when it is none, or more."""
    # Of a line that is continued, and of variables, the standard knows nothing: the resolver does.
    if not line.isprintable() or line.endswith("\\") or "$" in line:
        return None
    try:
        return Requirement(line)
    except (ValueError, RecursionError):
        return None


def _is_wheel(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.path.endswith(".whl")


def name_of(requirement: str) -> str:
    """The package's name, as packages are compared: lower case, one hyphen for each run of `-_.`. Empty when it is none."""
    found = _requirement(requirement)
    return canonicalize_name(found.name) if found else ""


def check_python(version: str) -> str:
    """The version, if one can ask for it so; InvalidInput else."""
    if version and not _VERSION.match(version):
        raise InvalidInput.of("python_version", "Write a version such as 3.12 or 3.12.1, or leave it empty for the platform's own.")
    return version


def satisfies(version: str, requires: str) -> bool:
    """Does a Python of this version fit `requires-python`? InvalidInput when that cannot be read."""
    try:
        return SpecifierSet(requires).contains(version)
    except InvalidSpecifier:
        raise InvalidInput.of("source", f"`requires-python` of the script's block (PEP 723) cannot be read: {requires[:60]}") from None
