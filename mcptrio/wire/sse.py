"""Server-sent events, and the HTTP chunks that carry them: bytes made, nothing sent."""

__all__ = ["LAST_CHUNK", "chunk", "event", "event_frame", "unchunk"]

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return `data` as one HTTP chunk. Raises `ValueError` if it is empty: that would end the response."""
    if not data:
        raise ValueError("an empty chunk would end the response")
    return b"%x\r\n%b\r\n" % (len(data), data)


def unchunk(frames: bytes) -> bytes:
    """Return what is in chunks made by `chunk`, for a peer that knows none (HTTP/1.0)."""
    pieces: list[bytes] = []
    at = 0
    while at < len(frames):
        start = frames.index(b"\r\n", at) + 2
        end = start + int(frames[at : start - 2], 16)
        pieces.append(frames[start:end])
        at = end + 2
    return b"".join(pieces)


def event(payload: bytes, *, id: str | None = None, retry: int | None = None) -> bytes:
    """Return an event's text: `id:`, `retry:` (ms) where given, and `payload`, which holds no newline, as its data.

    Raises `ValueError` for an id that a line cannot hold.
    """
    head = b""
    if id is not None:
        if "\n" in id or "\r" in id or "\0" in id:
            raise ValueError("an event's id must hold no line break and no NUL")
        head = b"id: %b\n" % id.encode()
    if retry is not None:
        head += b"retry: %d\n" % retry
    return b"%bdata: %b\n\n" % (head, payload)


def event_frame(payload: bytes) -> bytes:
    """Return `chunk(event(payload))`. Written out because it is the hottest of all."""
    return b"%x\r\ndata: %b\n\n\r\n" % (len(payload) + 8, payload)
