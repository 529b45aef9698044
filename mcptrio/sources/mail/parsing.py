"""From the bytes of a mail to what is in it, by the standard library's parser. Sans-IO, and pure.

Whatever the bytes are, there is a mail: what cannot be taken apart is its text as it came, and says why. A big or
hostile mail takes seconds, so this is a thread's work.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import BytesFeedParser
from email.policy import Policy, compat32
from itertools import islice

from mcptrio.sources.mail.headers import BoundedPolicy, Unparsable, addresses, clean, date, header, line
from mcptrio.sources.mail.message import Attachment, Found
from mcptrio.sources.mail.part import Part

MAX_TEXT = 256 * 1024
"""Bytes of a mail's text, and of its HTML, that are kept."""
MAX_PARTS = 100
"""How many parts a mail may have, at all depths together."""
MAX_LINES = 1_000_000
"""How many lines a mail may have, to be taken apart."""
CHUNK = 65_536
"""Bytes that the parser gets at a time: it does not let go of the interpreter while it splits them into lines."""
MAX_DEFECTS = 20
"""How many kinds of defects are listed."""
MAX_RECIPIENTS = 100
"""How many addresses of one header are listed."""
MAX_KEYWORDS = 20
"""How many keywords are listed."""
MAX_KEYWORD = 100
"""Characters of a keyword that are kept."""

_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_BINARY = "application/octet-stream"
# What Python calls codecs, but no mail is written in; some take time by the square of the length.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}
)


def parse(raw: bytes, max_attachment: int) -> Found:
    """Take a mail apart; contents of attachments of up to `max_attachment` bytes are kept. Never raises for a mail."""
    try:
        return _Parts(_parsed(raw), max_attachment).found(len(raw))
    except Unparsable as error:
        return _as_it_came(raw, f"not taken apart, shown as it came: {error}")
    except Exception as error:  # the parser's: of any type, also RecursionError
        return _as_it_came(raw, f"cannot be taken apart, shown as it came ({type(error).__name__})")


def _parsed(raw: bytes) -> Part:
    lines = raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    if lines > MAX_LINES:
        raise Unparsable(f"it has more than {MAX_LINES} lines")
    parts = 0

    def part(policy: Policy | None = None) -> Part:
        nonlocal parts
        parts += 1
        if parts > MAX_PARTS + 2:  # the message itself, and the parser's trial
            raise Unparsable(f"it has more than {MAX_PARTS} parts")
        return Part(policy)

    parser = BytesFeedParser(part, policy=BoundedPolicy.fresh())
    for start in range(0, len(raw), CHUNK):
        parser.feed(raw[start : start + CHUNK])
    message = parser.close()
    assert isinstance(message, Part)
    return message


def _as_it_came(raw: bytes, why: str) -> Found:
    text, truncated = _cut(raw)
    return Found(
        text=text.replace("\0", "\ufffd"), truncated=truncated, contents={}, defects=(why,), size=len(raw)
    )


def _cut(data: bytes, charset: str = "utf-8") -> tuple[str, bool]:
    # By bytes before decoding: what is longer is not worth the time.
    return data[:MAX_TEXT].decode(charset, "replace"), len(data) > MAX_TEXT


class _Parts:
    """The parts of one mail, sorted into its text, its HTML and its attachments."""

    def __init__(self, message: Part, max_attachment: int) -> None:
        self._message = message
        self._max_attachment = max_attachment
        self._text: str | None = None
        self._html: str | None = None
        self._truncated = False
        self._attachments: list[Attachment] = []
        self._contents: dict[int, bytes] = {}
        self._defects: dict[str, None] = {}

    def found(self, size: int) -> Found:
        for part in _walk(self._message):
            if not part.is_multipart() or part.get_content_maintype() == "message":
                self._sort(part)
            self._note(part.defects)
        message = self._message
        shown = {
            "sender": ", ".join(self._addresses("from"))[:1000],
            "subject": header(message, "subject"),
            "message_id": header(message, "message-id"),
        }
        to, cc, sent_at = self._addresses("to"), self._addresses("cc"), date(message)
        for name in (
            "from",
            "to",
            "cc",
            "subject",
            "date",
            "message-id",
            "content-type",
            "content-disposition",
        ):
            self._note(getattr(message.get(name), "defects", ()))
        return Found(
            **shown,
            to=to,
            cc=cc,
            date=sent_at,
            text=self._text or "",
            html=self._html,
            truncated=self._truncated,
            attachments=tuple(self._attachments),
            contents=self._contents,
            defects=tuple(self._defects),
            size=size,
            keywords=tuple(islice(_keywords(header(message, "keywords")), MAX_KEYWORDS)),
        )

    def _addresses(self, name: str) -> tuple[str, ...]:
        found = tuple(addresses(self._message, name))
        if len(found) > MAX_RECIPIENTS:
            self._note([f"more than {MAX_RECIPIENTS} addresses in {name}"])
        return found[:MAX_RECIPIENTS]

    def _sort(self, part: Part) -> None:
        content = _content(part)
        mime_type = part.get_content_type()
        name = _name(part)
        is_body = not name and part.get_content_disposition() != "attachment"
        if is_body and mime_type == "text/plain" and self._text is None:
            self._text = self._decoded(part, content)
        elif is_body and mime_type == "text/html" and self._html is None:
            self._html = self._decoded(part, content)
        else:
            self._attach(name, mime_type, content)

    def _attach(self, name: str, mime_type: str, content: bytes) -> None:
        number = len(self._attachments) + 1
        if _MIME_TYPE.fullmatch(mime_type) is None:
            mime_type = _BINARY
        self._attachments.append(Attachment(number, name, mime_type, len(content)))
        if len(content) <= self._max_attachment:
            self._contents[number] = content

    def _decoded(self, part: Part, content: bytes) -> str:
        charset = str(part.get_content_charset("ascii"))
        try:
            known = codecs.lookup(charset).name
            if known in _NO_CHARSETS:
                raise LookupError
            text, truncated = _cut(content, "utf-8" if known == "ascii" else charset)
        except (LookupError, ValueError):  # no charset; or one with a NUL; or of bytes, not text
            self._note([f"unknown charset {line(charset)[:40]!r}"])
            text, truncated = _cut(content)
        self._truncated = self._truncated or truncated
        return clean(text).replace("\r\n", "\n").replace("\0", "\ufffd")

    def _note(self, defects: Iterable[object]) -> None:
        for defect in defects:
            said = defect if isinstance(defect, str) else _words(type(defect).__name__)
            if len(self._defects) < MAX_DEFECTS:
                self._defects[said] = None


def _walk(message: Message) -> Iterator[Part]:
    """The message and its parts in order, without what is inside attached messages."""
    ahead = [message]
    while ahead:
        part = ahead.pop()
        if isinstance(part, Part):
            yield part
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            inside = part.get_payload()
            ahead.extend(item for item in reversed(list(inside)) if isinstance(item, Message))


def _content(part: Part) -> bytes:
    """A part's bytes, decoded; an attached message as its source."""
    if part.is_multipart():
        inside = part.get_payload()
        return b"\n".join(
            item.as_bytes(policy=compat32) for item in list(inside) if isinstance(item, Message)
        )
    return part.content


def _name(part: Part) -> str:
    """The last piece of an attachment's file name: it may have been a path of its sender's."""
    try:
        name = part.get_filename() or ""
    except Unparsable:
        raise
    except Exception:  # a parameter's encoding may be anything
        name = "unreadable name"
    return line(re.split(r"[/\\]", name)[-1])[:200]


def _keywords(text: str) -> Iterator[str]:
    return (word for each in text.split(",") if (word := each.strip()[:MAX_KEYWORD]))


def _words(name: str) -> str:
    """`StartBoundaryNotFoundDefect` as `start boundary not found`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("Defect")).lower()
