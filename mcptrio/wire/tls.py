"""TLS for the server's side of a connection: a codec between what is said and what the socket carries."""

import ssl
from pathlib import Path

__all__ = ["TlsCodec", "server_context"]

_RECORD_BYTES = 16_384


class TlsCodec:
    """One connection's TLS, by `ssl.SSLObject` over memory: synchronous, without input or output of its own.

    The handshake takes place in `open`; before it is done there are no plain bytes to seal.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "_shaken", "ended")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        #: The peer has said that no more follows.
        self.ended = False

    def seal(self, data: bytes, /) -> bytes:
        """Return the records that carry `data`."""
        self._object.write(data)
        return self._outgoing.read()

    def open(self, data: bytearray, /) -> tuple[bytes | bytearray, bytes]:
        """Take received records; return all plain bytes in them, and what the handshake wants sent.

        Raises `ssl.SSLError`; `end` then returns the alert that tells the peer why.
        """
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self._shaken:
                self._object.do_handshake()
                self._shaken = True
            while piece := self._object.read(_RECORD_BYTES):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return plain, self._outgoing.read()

    def end(self) -> bytes:
        """Return the close_notify, or the alert that is left to be sent; empty before the handshake and later on."""
        if self._shaken:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass  # it waits for the peer's, which nobody needs
        return self._outgoing.read()


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return what `Listener.serve` needs to speak TLS, 1.2 or newer.

    Args:
        certificate: a PEM file with the certificate, and behind it those between it and the root.
        key: a PEM file with the private key; None if it is in the certificate's file.

    Raises `ValueError`, with a message for the user that names the file, if either cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        for file in (certificate, key):
            if file is not None:
                file.open("rb").close()  # else the context's error would not say which of the two
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from error
    try:
        # Without a password callback OpenSSL would ask at the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(_why(error, certificate, key)) from error
    return context


def _no_password() -> str:
    raise ValueError(
        "the private key is encrypted: store it without a passphrase, readable by the server only"
    )


def _why(error: ssl.SSLError, certificate: Path, key: Path | None) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the private key in {key or certificate} is not that of the certificate in {certificate}"
    if key is None:
        return f"{certificate} must hold a PEM certificate and its private key; or name the key's own file"
    return f"{certificate} must hold a PEM certificate, and {key} its private key in PEM"
