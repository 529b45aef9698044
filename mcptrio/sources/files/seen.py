"""What was seen of a directory, and what a later look says to it. Sans-IO, and pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.sources.files.scan import File, Scan


class Doubts(Struct, frozen=True):
    """What one more look, a little later, might show otherwise."""

    missing: frozenset[str] = frozenset()
    """Files that were there: an editor may have put them aside, and be about to put another in their place."""
    young: bool = False
    """Something that changed was written to only just now, so that a further write might leave no trace; or it is being
    written to, for the system changes a file's size before its times."""

    def settled(self, before: Doubts) -> bool:
        """Whether there is nothing to wait for: what is missing was so in the look before, too."""
        return not self.young and self.missing <= before.missing


def doubts(known: Mapping[str, File], scan: Scan) -> Doubts:
    """What cannot be told by this look alone."""
    missing = frozenset(path for path in known if path not in scan.files and not is_below(path, scan.blind))
    young = any(_is_young(file, known.get(path)) for path, file in scan.files.items())
    return Doubts(missing, young)


def _is_young(file: File, before: File | None) -> bool:
    if file == before:
        return False
    return file.young or (
        before is not None and file.size != before.size and file.changed_ns == before.changed_ns
    )


def merged(known: Mapping[str, File], scan: Scan) -> dict[str, File]:
    """What is known after a look: what it found, and what was known of the folders that it could not look into."""
    if not scan.blind:
        return dict(scan.files)
    kept = {
        path: file for path, file in known.items() if path not in scan.files and is_below(path, scan.blind)
    }
    return {**scan.files, **kept}


def differences(before: Mapping[str, File], after: Mapping[str, File]) -> list[tuple[str, str]]:
    """What happened between two looks, as kind and path: created and updated first, then deleted."""
    changes = [
        (CREATED if path not in before else UPDATED, path)
        for path, file in after.items()
        if before.get(path) != file
    ]
    changes.extend((DELETED, path) for path in before if path not in after)
    return changes


def is_below(path: str, folders: frozenset[str]) -> bool:
    """Whether a path is in one of the folders, at any depth."""
    if not folders:
        return False
    end = len(path)
    while (end := path.rfind("/", 0, end)) >= 0:
        if path[:end] in folders:
            return True
    return False
