"""Hostile senders: whatever they say, the next mail is taken, and no mail is taken that nobody sent."""

from __future__ import annotations

import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.mail.shapes import SHAPES
from tests.sources.smtp.post import Post, in_thread, mail

pytestmark = pytest.mark.unmeasured

HELLO = b"EHLO a\r\n"
ENVELOPE = HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
DATA = ENVELOPE + b"DATA\r\n"
END = b"\r\n.\r\n"


def talk(port: int, *pieces: bytes, end: str = "quit") -> bytes:
    """Say all this, piece after piece, and hear everything; or go away in one way or another."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            found += connection.recv(1000)
            for piece in pieces:
                connection.sendall(piece)
                if len(pieces) > 1:
                    time.sleep(0.02)
            if end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return found
            if end == "close":
                return found
            if end == "half":
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.sendall(b"QUIT\r\n")
            while chunk := connection.recv(65_536):
                found += chunk
        except OSError:
            pass
    return found


def codes(said: bytes) -> list[int]:
    return [int(line[:3]) for line in said.splitlines() if line[3:4] == b" "]


ABUSE: dict[str, tuple[tuple[bytes, ...], str]] = {
    "nothing": ((), "close"),
    "a reset at once": ((), "reset"),
    "a half close at once": ((), "half"),
    "a long command": ((b"HELO " + b"a" * 100_000 + b"\r\n",), "quit"),
    "an endless command": ((b"a" * 5_000_000,), "close"),
    "NULs": ((b"\0" * 10_000 + b"\r\n",), "quit"),
    "NULs in commands": ((b"HE\0LO a\r\nMAIL\0 FROM:<a@b>\r\n",), "quit"),
    "bytes of no text": (
        (bytes(range(128, 256)) + b"\r\nHELO \xff\xfe\r\nVRFY \xff\xff\r\nEXPN \xff\r\n",),
        "quit",
    ),
    "empty lines": ((b"\r\n" * 1000,), "quit"),
    "unknown commands": ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5,), "quit"),
    "TLS": ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),), "quit"),
    "escape codes": ((b"\x1b[2J\x1b]0;owned\x07\r\n",), "quit"),
    "DATA first": ((b"DATA\r\nSubject: x\r\n\r\nx" + END,), "quit"),
    "DATA without a recipient": ((HELLO + b"MAIL FROM:<a@b>\r\nDATA\r\n",), "quit"),
    "DATA with an argument": ((ENVELOPE + b"DATA now\r\n",), "quit"),
    "recipients without a sender": ((HELLO + b"RCPT TO:<a@b>\r\n",), "quit"),
    "two senders": ((ENVELOPE + b"MAIL FROM:<x@y>\r\n",), "quit"),
    "addresses of no form": (
        (
            HELLO
            + b"MAIL FROM:"
            + b"<" * 100
            + b"\r\nMAIL FROM:@\r\nMAIL FROM:<(((((>\r\nMAIL FROM: \r\nMAIL FROM\r\n",
        ),
        "quit",
    ),
    "options of no kind": (
        (HELLO + b"MAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> X=Y\r\nMAIL FROM:<a@b> =\r\n",),
        "quit",
    ),
    "a size beyond numbers": ((HELLO + b"MAIL FROM:<a@b> SIZE=" + b"9" * 400 + b"\r\n",), "quit"),
    "a size in other digits": (
        (HELLO + "MAIL FROM:<a@b> SIZE=²\r\nMAIL FROM:<a@b> SIZE=١\r\n".encode(),),
        "quit",
    ),
    "logging in": ((HELLO + b"AUTH PLAIN AGEAYg==\r\nAUTH LOGIN\r\nAUTH\r\n",), "quit"),
    "STARTTLS": ((HELLO + b"STARTTLS\r\n",), "quit"),
    "a source route": ((HELLO + b"MAIL FROM:<@a,@b:c@d>\r\nRCPT TO:<a%b@c>\r\n",), "quit"),
    "gone in DATA": ((DATA, b"Subject: x\r\n\r\nhalf a mail"), "close"),
    "reset in DATA": ((DATA, b"Subject: x\r\n\r\nhalf a mail"), "reset"),
    "half closed in DATA": ((DATA, b"Subject: x\r\n\r\nhalf a mail"), "half"),
    "a long line in DATA": ((DATA, b"x" * 5_000_000 + END), "quit"),
    "a line of exactly the limit": ((DATA, b"x" * 999 + END), "quit"),
    "an end in pieces": ((DATA, b"x\r", b"\n", b".", b"\r", b"\n"), "quit"),
    "a dot alone": ((DATA, b".\r\n"), "quit"),
    "dots": ((DATA, b"..\r\n...\r\n. \r\n" + END), "quit"),
    "everything at once": ((DATA + b"Subject: x\r\n\r\nx" + END,), "quit"),
    "many resets": ((ENVELOPE + b"RSET\r\n" * 1000,), "quit"),
    "quit with an argument": ((b"QUIT now\r\n",), "quit"),
    "help for everything": ((b"HELP\r\nHELP MAIL\r\nHELP \xff\r\nHELP " + b"x" * 400 + b"\r\n",), "quit"),
}


async def test_abuse_stops_nobody() -> None:
    post = Post(timeout="2s")
    async with post.running(clients=1):
        for name, (pieces, end) in ABUSE.items():
            said = await in_thread(lambda pieces=pieces, end=end: talk(post.port, *pieces, end=end))
            assert said.startswith(b"220 localhost"), name
            assert not any(line.startswith(b"235") for line in said.splitlines()), name
            before = len(post.record.changes)
            await in_thread(post.send, mail(name))
            [created] = [change for change in post.record.changes[before:] if change.kind == "created"]
            assert (await post.read(created.uri))["subject"] == name
        assert post.inlet.counts.failures < 20
    kept = [mail.subject for mail in post.inlet._mailbox.newest()]
    own = [subject for subject in kept if subject not in ABUSE]
    # Four of those above are mails indeed; the half ones are none.
    assert sorted(own) == ["", "", "", "", "x"]


@pytest.mark.parametrize(
    "smuggled",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\n.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
    ],
)
async def test_a_mail_inside_a_mail_stays_inside(smuggled: bytes) -> None:
    post = Post()
    inside = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<y@x.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
    async with post.running():
        said = await in_thread(
            talk, post.port, DATA, b"Subject: outside\r\n\r\nfirst" + smuggled + inside + END
        )
        assert codes(said)[-2:] == [250, 221]
        assert [mail.subject for mail in post.inlet._mailbox.newest()] == ["outside"]
        assert b"smuggled" in post.inlet._mailbox.get(1).mail.text.encode()  # type: ignore[union-attr]


async def test_every_malformed_mail_is_taken_or_refused_in_words() -> None:
    post = Post()
    async with post.running(clients=1):
        taken = 0
        for name, shape in SHAPES.items():
            stuffed = b"\r\n".join(
                b"." + line if line.startswith(b".") else line for line in shape.split(b"\r\n")
            )
            said = await in_thread(talk, post.port, DATA, stuffed + END)
            answer = codes(said)[-2]
            assert answer in (250, 500), (name, said)
            taken += answer == 250
            if answer == 250:
                read = await post.read(f"mail://messages/{taken}")
                assert read["size"] == len(shape) + 2, name
        assert taken >= 50
        await in_thread(post.send, mail())
        assert post.inlet.counts.failures == 0


_LINE = st.sampled_from(
    [
        b"EHLO a", b"HELO a", b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"DATA", b".", b"RSET", b"NOOP", b"Subject: x",
        b"", b"..", b"VRFY x", b"AUTH PLAIN x", b"STARTTLS", b"QUIT", b"HELP", b"MAIL FROM:<>", b"BDAT 10",
    ]
)  # fmt: skip
_PIECE = st.one_of(
    st.tuples(_LINE, st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r", b"\0\r\n"])).map(b"".join),
    st.binary(max_size=100),
)


async def test_any_conversation_leaves_the_inlet_working() -> None:
    post = Post(timeout="300ms")
    async with post.running():
        port = post.port

        @settings(max_examples=60, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(_PIECE, max_size=25).map(b"".join), st.sampled_from(["quit", "close", "reset", "half"])
        )
        def converse(said: bytes, end: str) -> None:
            assert talk(port, said, end=end).startswith(b"220")

        await in_thread(converse)
        await in_thread(post.send, mail("after all"))
        newest = next(post.inlet._mailbox.newest())
        assert newest.subject == "after all"
