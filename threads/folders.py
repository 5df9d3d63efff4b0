"""Folders as a tree: pure functions over the rows a person may see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from threads.models import Folder


@dataclass(frozen=True, slots=True)
class Node:
    """A folder at its place: `path` names it from the top, `depth` is 0 there."""

    folder: Folder
    depth: int
    path: str


def in_order(folders: Iterable[Folder]) -> list[Node]:
    """All folders, each after its parent, siblings by name. A folder whose parent is not among them counts as a top one."""
    rows = list(folders)
    known = {folder.pk for folder in rows}
    children: dict[int | None, list[Folder]] = {}
    for folder in rows:
        children.setdefault(folder.parent_id if folder.parent_id in known else None, []).append(folder)
    nodes: list[Node] = []
    waiting = [Node(folder, 0, folder.name) for folder in _by_name(children.get(None, []))][::-1]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        below = _by_name(children.get(node.folder.pk, []))
        waiting.extend(Node(folder, node.depth + 1, f"{node.path} / {folder.name}") for folder in reversed(below))
    return nodes


def _by_name(folders: Sequence[Folder]) -> list[Folder]:
    return sorted(folders, key=lambda folder: (folder.team_id, folder.name.casefold(), folder.pk))


def within(nodes: Sequence[Node], folder_id: int) -> set[int]:
    """The ids of a folder and of all below it; of none when it is not there."""
    found: set[int] = set()
    for node in nodes:
        if node.folder.pk == folder_id or node.folder.parent_id in found:
            found.add(node.folder.pk)
    return found
