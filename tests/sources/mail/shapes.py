"""Mails as nobody should write them, by a name that says what is wrong."""

from __future__ import annotations

import base64

HEAD = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: "


def _typed(content_type: bytes, body: bytes = b"x", *more: bytes) -> bytes:
    return b"\r\n".join([HEAD + b"s", b"Content-Type: " + content_type, *more, b"", body, b""])


def _nested(depth: int) -> bytes:
    return b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    )


def _mixed(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return _typed(
        b"multipart/mixed; boundary=b", b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end
    )


SHAPES: dict[str, bytes] = {
    "nothing": b"",
    "a line end": b"\r\n",
    "no header": b"just text\r\n",
    "headers only": HEAD + b"s\r\n",
    "no colon": b"From a\r\nSubject\r\n\r\nbody\r\n",
    "a body that looks like headers": b"\r\nFrom: x\r\n\r\n",
    "a header with an empty name": b": x\r\n\r\nbody",
    "a continuation first": b" folded\r\nFrom: x\r\n\r\nbody",
    "control characters in a subject": HEAD + b"a\x00\x07\x1b[31mb\r\n\r\nx\r\n",
    "bytes of no charset in a subject": HEAD + b"\xff\xfe\x80abc\r\n\r\nx\r\n",
    "UTF-8 in headers": HEAD + "Süß ✓".encode() + b"\r\n\r\nx\r\n",
    "a lone surrogate in UTF-8": HEAD + b"\xed\xa0\x80\r\n\r\n\xed\xa0\x80\r\n",
    "line separators in a subject": HEAD + "a\u2028b\u0085c".encode() + b"\r\n\r\nx\r\n",
    "an encoded word of no charset": HEAD + b"=?no-such?q?a=20b?=\r\n\r\nx\r\n",
    "an encoded word of no encoding": HEAD + b"=?utf-8?z?abc?=\r\n\r\nx\r\n",
    "an encoded word with broken base64": HEAD + b"=?utf-8?b?a?=\r\n\r\nx\r\n",
    "an encoded word with a line end": HEAD + b"=?utf-8?q?a=0D=0AX-Injected:_yes?=\r\n\r\nx\r\n",
    "an encoded word in punycode": HEAD + b"=?punycode?q?" + b"a" * 1500 + b"?=\r\n\r\nx\r\n",
    "an encoded word without end": HEAD + b"=?utf-8?q?" * 300 + b"\r\n\r\nx\r\n",
    "a thousand subjects": b"Subject: s\r\n" * 1000 + b"\r\nx\r\n",
    "a long folded subject": HEAD + (b"a" * 900 + b"\r\n ") * 300 + b"\r\n\r\nx\r\n",
    "parentheses in an address": b"To: " + (b"(" * 900 + b"\r\n ") * 10 + b"\r\n\r\nx\r\n",
    "quotes in an address": b"To: " + (b'"' * 900 + b"\r\n ") * 10 + b"\r\n\r\nx\r\n",
    "angles in an address": b"From: " + b"<" * 900 + b"\r\n\r\nx\r\n",
    "groups in an address": b"To: " + b"g:" * 450 + b"\r\n\r\nx\r\n",
    "commas as an address": b"Cc: " + b"," * 900 + b"\r\n\r\nx\r\n",
    "many addresses": b"To: " + b",\r\n ".join(b"a%d@example.org" % n for n in range(400)) + b"\r\n\r\nx\r\n",
    "an empty message id": b"Message-ID: <\r\n\r\nx\r\n",
    "a date in no calendar": b"Date: Mon, 99 Foo 99999 99:99:99 +9999\r\n\r\nx\r\n",
    "a date out of range": b"Date: Fri, 31 Dec 9999 23:59:59 -2359\r\n\r\nx\r\n",
    "a date in words": b"Date: yesterday\r\n\r\nx\r\n",
    "no content type": _typed(b""),
    "semicolons as content type": _typed(b";" * 900),
    "quotes as content type": _typed(b'"' * 900),
    "stars as content type": _typed(b"text/plain; " + b"a*" * 400),
    "many parameters": _typed(b"text/plain" + b";\r\n a*0*=x" * 400),
    "a content type of no form": _typed(b"../../etc/passwd"),
    "a content type in UTF-8": _typed("töxt/pläin".encode()),
    "two content types": _typed(b"text/html", b"x", b"Content-Type: image/png"),
    "a charset that does not exist": _typed(b"text/plain; charset=klingon", b"caf\xc3\xa9"),
    "a charset that is a codec": _typed(b"text/plain; charset=punycode", b"a" * 900),
    "a charset that is no text": _typed(b"text/plain; charset=base64", b"YWJj"),
    "a charset with a NUL": _typed(b'text/plain; charset="utf\x008"'),
    "a charset by RFC 2231": _typed(b"text/plain; charset*=x'y'%ff%fe"),
    "UTF-16 that is none": _typed(b"text/plain; charset=utf-16", b"abc"),
    "UTF-7": _typed(b"text/plain; charset=utf-7", b"+AGE-+2AA-"),
    "bytes beyond the charset": _typed(b"text/plain; charset=us-ascii", b"\xff\x80\x00caf\xc3\xa9"),
    "broken base64": _typed(b"text/plain", b"!!!not base64!!!=a=", b"Content-Transfer-Encoding: base64"),
    "base64 cut short": _typed(b"image/png", b"aGVsbG8", b"Content-Transfer-Encoding: base64"),
    "large base64 with rubbish": _typed(
        b"image/png", b"\r\n".join([b"QUJD" * 19 + b"*"] * 5000), b"Content-Transfer-Encoding: base64"
    ),
    "large base64 with padding inside": _typed(
        b"image/png", b"\r\n".join([b"QUI=" * 19] * 5000), b"Content-Transfer-Encoding: base64"
    ),
    "broken quoted-printable": _typed(
        b"text/plain", b"=ZZ=4=\x00=", b"Content-Transfer-Encoding: quoted-printable"
    ),
    "broken uuencode": _typed(
        b"text/plain", b"begin 999 x\r\n\xff\xff", b"Content-Transfer-Encoding: x-uuencode"
    ),
    "an encoding that does not exist": _typed(b"text/plain", b"x", b"Content-Transfer-Encoding: rot13"),
    "base64 around parts": _typed(
        b"multipart/mixed; boundary=b", b"--b\r\n\r\nx\r\n--b--", b"Content-Transfer-Encoding: base64"
    ),
    "no boundary": _typed(b"multipart/mixed", b"--b\r\n\r\nx\r\n--b--"),
    "an empty boundary": _typed(b'multipart/mixed; boundary=""', b"--\r\n\r\nx\r\n----"),
    "a boundary that is a pattern": _typed(
        b'multipart/mixed; boundary="(a+)+$"', b"--(a+)+$\r\n\r\nx\r\n" * 3
    ),
    "a boundary that never comes": _typed(b"multipart/mixed; boundary=b", b"x\r\n" * 100),
    "no end": _mixed(b"\r\nx", end=b""),
    "an end at once": _mixed(end=b"--b--\r\n--b\r\n\r\nx\r\n"),
    "a hundred and one parts": _mixed(*[b"\r\nx"] * 101),
    "ten thousand parts": _mixed(*[b"\r\n"] * 10_000),
    "the same boundary inside": _mixed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx"),
    "fifty levels": _nested(50) + b"\r\nx\r\n",
    "two thousand levels": _nested(2000),
    "messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 60 + HEAD + b"s\r\n\r\nx\r\n",
    "too many messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    "an attached message that is none": _mixed(b"Content-Type: message/rfc822\r\n\r\n\xff\x00\r\n"),
    "a delivery status": _mixed(b"Content-Type: message/delivery-status\r\n\r\nA: b\r\n\r\nC: d\r\n\r\n\xff"),
    "a partial message": _typed(b"message/partial; id=x; number=1; total=9"),
    "an external body": _typed(b"message/external-body; access-type=local-file; name=/etc/passwd", b"\r\n"),
    "a file name that is a path": _mixed(
        b'Content-Disposition: attachment; filename="../../etc/passwd\x00.txt"\r\n\r\nx'
    ),
    "a file name in pieces": _mixed(
        b"Content-Disposition: attachment; filename*99*=x; filename*0*=no-such''%ff; filename*1=y\r\n\r\nx"
    ),
    "a file name in a codec": _mixed(b"Content-Disposition: attachment; filename*=punycode''%ff%fe\r\n\r\nx"),
    "a long file name": _mixed(b"Content-Disposition: attachment; filename=" + b"a" * 900 + b"\r\n\r\nx"),
    "no disposition": _mixed(b"Content-Disposition: \r\n\r\nx"),
    "NULs": b"\0" * 900,
    "NULs in the body": HEAD + b"s\r\n\r\na\0b\r\n",
    "every byte": HEAD + b"s\r\n\r\n" + bytes(range(256)) + b"\r\n",
    "bare line feeds": HEAD + b"s\n\nbody\n.\nmore\r\n",
    "bare carriage returns": HEAD + b"s\r\rbody\r.\rmore\r\n",
    "an mbox": b"From a@example.org Thu Jan  1 00:00:00 1970\r\n" + HEAD + b"s\r\n\r\n>From x\r\n",
    "noise": base64.b85encode(bytes(range(256)) * 3) + b"\r\n\r\n" + bytes(range(128, 256)),
}
