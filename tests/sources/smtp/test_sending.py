"""Mail sent by the standard library's client reaches two clients of the server, each mail once."""

from __future__ import annotations

import base64
import logging
import smtplib
import sys
import time

import pytest
import trio

from tests.sources.smtp.post import FEED, Post, in_thread, mail, uri

SENDER = """
import smtplib, sys
from email.message import EmailMessage
message = EmailMessage()
message["From"] = message["To"] = "ada@example.org"
message["Subject"] = "Big"
message.set_content("Here it is")
message.add_attachment(b"x" * 20_000_000, maintype="application", subtype="zip", filename="big.zip")
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="sender") as smtp:
    smtp.send_message(message)
"""


def told_of(post: Post, kind: str) -> list[str]:
    return [uri for told, uri in post.record.told() if told == kind]


async def test_a_plain_mail_is_read_as_it_was_sent() -> None:
    post = Post()
    async with post.running(clients=2):
        ears = await post.ears(uri(1), FEED)
        await in_thread(post.send, mail("Grüße ✓", "Hallo,\nschöne Grüße\n"))
        for each in ears:
            await each.wait(uri(1), FEED)
            assert each.heard[uri(1)] == 1
        read = await post.read(uri(1))
        assert read["from"] == "Ada <ada@example.org>"
        assert read["to"] == ["Grace <grace@example.org>"]
        assert read["envelope"] == {"sender": "ada@example.org", "recipients": ["grace@example.org"]}
        assert (read["subject"], read["text"]) == ("Grüße ✓", "Hallo,\nschöne Grüße\n")
        assert (read["attachments"], read["defects"], read["html"]) == ([], [], None)
        [newest] = (await post.read(FEED))["newest"]  # type: ignore[misc]
        assert (newest["uri"], newest["subject"]) == (uri(1), "Grüße ✓")
        listed = [resource.uri for resource in await post.clients[0].list_resources()]
        assert uri(1) in listed
    assert told_of(post, "created") == [uri(1)]


async def test_the_answer_comes_when_the_mail_is_announced_and_can_be_read() -> None:
    post = Post()
    async with post.running(clients=1):
        for number in range(1, 6):
            await in_thread(post.send, mail(f"number {number}"))
            assert told_of(post, "created") == [uri(each) for each in range(1, number + 1)]
            assert (await post.read(uri(number)))["subject"] == f"number {number}"


async def test_the_log_says_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mcptrio.sources")
    post = Post()
    async with post.running():
        said = f"listening for mail host='127.0.0.1' port={post.port} "
        assert any(message.startswith(said) for message in caplog.messages)


async def test_attachments_are_listed_and_read_apart() -> None:
    post = Post(max_attachment=1000)
    message = mail("Report")
    message.add_alternative("<p>How are you?</p>", subtype="html")
    message.add_attachment(b"\x00\xff" * 500, maintype="application", subtype="pdf", filename="/tmp/ü.pdf")
    message.add_attachment(b"x" * 1001, maintype="image", subtype="png", filename="big.png")
    async with post.running(clients=2):
        ears = await post.ears(uri(1))
        await in_thread(post.send, message)
        for each in ears:
            await each.wait(uri(1))
        read = await post.read(uri(1))
        assert (read["text"], read["html"]) == ("How are you?\n", "<p>How are you?</p>\n")
        assert read["attachments"] == [
            {
                "number": 1,
                "name": "ü.pdf",
                "mime_type": "application/pdf",
                "size": 1000,
                "uri": f"{uri(1)}/attachments/1",
            },
            {"number": 2, "name": "big.png", "mime_type": "image/png", "size": 1001, "uri": None},
        ]
        for client in post.clients:
            [contents] = (await client.read_resource(f"{uri(1)}/attachments/1")).contents
            assert contents.mime_type == "application/pdf"
            assert base64.b64decode(str(contents.blob)) == b"\x00\xff" * 500
        with pytest.raises(Exception, match="kept up to 1000 bytes"):
            await post.clients[0].read_resource(f"{uri(1)}/attachments/2")
        for wrong in ("0", "3", "01", "x"):
            with pytest.raises(Exception, match="not found"):
                await post.clients[0].read_resource(f"{uri(1)}/attachments/{wrong}")
        with pytest.raises(Exception, match="not found"):
            await post.clients[0].read_resource(f"{uri(2)}/attachments/1")


async def test_a_mail_with_twenty_megabytes_attached_comes_in_where_it_may() -> None:
    post = Post()
    worst = 0.0

    async def watch_for_hiccups() -> None:
        nonlocal worst
        while True:
            before = trio.current_time()
            await trio.sleep(0.01)
            worst = max(worst, trio.current_time() - before - 0.01)

    async with post.running(clients=2), trio.open_nursery() as nursery:
        ears = await post.ears(uri(1))
        nursery.start_soon(watch_for_hiccups)
        began = time.monotonic()
        # In a process of its own: this one is watched for how long it lets Trio wait.
        await trio.run_process([sys.executable, "-c", SENDER, str(post.port)])
        for each in ears:
            await each.wait(uri(1))
            assert each.heard[uri(1)] == 1
        print(f"20 MB: {time.monotonic() - began:.2f} s, worst hiccup {worst * 1000:.0f} ms")
        nursery.cancel_scope.cancel()
        [attachment] = (await post.read(uri(1)))["attachments"]  # type: ignore[misc]
        assert (attachment["size"], attachment["uri"]) == (20_000_000, None)
    assert told_of(post, "created") == [uri(1)]


async def test_a_mail_beyond_the_size_is_refused_before_or_after_it_was_sent() -> None:
    post = Post(max_size=10_000, keep_bytes=10_000)
    big = mail("Big", ("x" * 70 + "\n") * 200)

    def without_size() -> tuple[int, bytes]:
        with post.smtp() as smtp:
            smtp.helo("sender")
            smtp.mail("a@example.org")
            smtp.rcpt("b@example.org")
            return smtp.data(big.as_string())

    async with post.running(clients=1):
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            await in_thread(post.send, big)
        assert caught.value.smtp_code == 552
        assert (await in_thread(without_size))[0] == 552
        await in_thread(post.send, mail())
        assert (await post.read(uri(1)))["subject"] == "Hello"


@pytest.mark.parametrize("connections", [20])
async def test_five_hundred_in_a_burst_reach_two_clients_once_each(connections: int) -> None:
    each = 500 // connections
    post = Post()
    uris = [uri(number) for number in range(1, 501)]
    async with post.running(clients=2):
        ears = await post.ears(*uris)
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            for sender in range(connections):
                mails = [mail(f"{sender}/{number}") for number in range(each)]
                nursery.start_soon(in_thread, post.send, *mails)
        sent = time.monotonic() - began
        for each_client in ears:
            await each_client.wait(*uris)
        print(
            f"500 mails: {sent:.2f} s until all were answered, {time.monotonic() - began:.2f} s until all heard"
        )
        for each_client in ears:
            assert each_client.heard == dict.fromkeys(uris, 1)
        subjects = [(await post.inlet.read_message(str(number))).subject for number in range(1, 501)]
    assert told_of(post, "created") == uris
    assert sorted(subjects) == sorted(
        f"{sender}/{number}" for sender in range(connections) for number in range(each)
    )
    for sender in range(connections):
        own = [subject for subject in subjects if subject.startswith(f"{sender}/")]
        assert own == [f"{sender}/{number}" for number in range(each)], "in the order of their connection"


async def test_what_is_beyond_the_bounds_is_deleted() -> None:
    post = Post(keep=2)
    async with post.running(clients=1):
        await in_thread(post.send, *(mail(str(number)) for number in range(4)))
        listed = [resource.uri for resource in await post.clients[0].list_resources()]
        assert [each for each in listed if each.startswith("mail://m")] == [uri(4), uri(3)]
        with pytest.raises(Exception, match="not found"):
            await post.read(uri(2))
    assert post.record.told() == [
        ("created", uri(1)),
        ("updated", FEED),
        ("created", uri(2)),
        ("updated", FEED),
        ("created", uri(3)),
        ("deleted", uri(1)),
        ("updated", FEED),
        ("created", uri(4)),
        ("deleted", uri(2)),
        ("updated", FEED),
    ]


async def test_smtputf8_and_8bitmime_are_taken() -> None:
    post = Post()

    def send() -> None:
        with post.smtp() as smtp:
            smtp.ehlo()
            assert smtp.has_extn("smtputf8") and smtp.has_extn("8bitmime") and smtp.has_extn("size")
            assert not smtp.has_extn("auth") and not smtp.has_extn("starttls")
            smtp.sendmail(
                "käthe@exämple.org",
                ["jürgen@exämple.org"],
                "From: Käthe <käthe@exämple.org>\r\nSubject: Süß\r\n\r\nSüß\r\n".encode(),
                mail_options=["SMTPUTF8", "BODY=8BITMIME"],
            )

    async with post.running(clients=1):
        await in_thread(send)
        read = await post.read(uri(1))
        assert (read["from"], read["subject"], read["text"]) == ("Käthe <käthe@exämple.org>", "Süß", "Süß\n")
        assert read["envelope"] == {"sender": "käthe@exämple.org", "recipients": ["jürgen@exämple.org"]}
