"""What is told of a file with its changes. Sans-IO, and pure."""

from __future__ import annotations

from mcptrio.live import Change
from mcptrio.sources.files.contents import modified_at, type_of
from mcptrio.sources.files.scan import File


def change_of(uri: str, kind: str, path: str, file: File, source: str) -> Change:
    """A change of a file that was seen as this one; of one that has gone, as it was seen last.

    Its data is what resources/list tells of it, and nothing of what is in it. The version is another one for every state,
    and is left out of a file that was being written to, for then nothing can tell one state from the next.
    """
    data: dict[str, object] = {"path": path, "size": file.size}
    at, type = modified_at(file.modified_ns), type_of(path)
    if at is not None:
        data["modified"] = at
    if type is not None:
        data["type"] = type
    metadata: dict[str, object] = {"size": file.size}
    if not file.young:
        metadata["version"] = f"{file.inode:x}-{file.changed_ns:x}-{file.size:x}"
    return Change(uri=uri, kind=kind, data=data, metadata=metadata, source=source)
