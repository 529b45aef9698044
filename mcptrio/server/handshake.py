"""How a conversation opens: `initialize` in one revision, `server/discover` in the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import UNSET

from mcptrio.catalog import Catalog, ListKind
from mcptrio.protocol import SUPPORTED, Failure, LegacyCodec, Revision, RpcError
from mcptrio.protocol.extension import is_declared
from mcptrio.protocol.params import InitializeParams
from mcptrio.protocol.questions import SetLevelParams
from mcptrio.protocol.results import DiscoverResult, InitializeResult, Result
from mcptrio.protocol.types import Implementation, Object
from mcptrio.server.list_changes import ListChanges
from mcptrio.server.peer import Peer
from mcptrio.server.subscriber import Session, Subscriber

HANDSHAKE_VERSIONS = (Revision.LEGACY.value, "2025-06-18")
"""Versions that `initialize` agrees to. The older one's clients refuse any other answer, and all that is sent to a
session is valid in it too; versions before it have batches."""


def capabilities(catalog: Catalog, extensions: Object | None = None) -> Object:
    """What is really delivered, equal in both revisions.

    An app may get its first tool, resource or prompt while it runs, and a client that was told of none would never
    look: so all three are there, with what says that their lists change, and empty lists are answered as such. For the
    same reason completions are answered, if with nothing, even where there were none to announce. `extensions` are told
    to clients that have declared them, too; for others nothing is different because of them.
    """
    completions: Object = {"completions": {}} if catalog.completes else {}
    return {
        **completions,
        "logging": {},
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "prompts": {"listChanged": True},
        **({} if extensions is None else {"extensions": extensions}),
    }


MOST_CAPABILITIES = 8192
"""Bytes of a client's capabilities: a session keeps them, and there may be many that nobody uses."""


def check_opening(params: InitializeParams) -> None:
    """Whether a session may be opened with these.

    Raises:
        RpcError: -32602 when the session would have to keep too much.
    """
    if len(msgspec.json.encode(params.capabilities)) > MOST_CAPABILITIES:
        told = f"Invalid params: the capabilities are more than {MOST_CAPABILITIES} bytes, and a session keeps them"
        raise RpcError.of(Failure.INVALID_PARAMS, told)


class Handshake:
    """Answers the opening methods and makes sessions. Keeps nothing: a session belongs to its peer."""

    def __init__(
        self,
        info: Implementation,
        instructions: str | None,
        codec: LegacyCodec,
        ready: Callable[[Subscriber], None],
        list_changes: ListChanges,
        catalog: Catalog,
        extensions: Object,
    ) -> None:
        self._extensions = extensions
        self._info = info
        self._instructions = UNSET if instructions is None else instructions
        self._codec = codec
        self._ready = ready
        self._list_changes = list_changes
        self._catalog = catalog

    def initialize(self, peer: Peer, params: InitializeParams) -> InitializeResult:
        """Open the peer's session. A version that is not served is answered with the one that is.

        Raises:
            RpcError: -32600 when the peer has a session already; what `check_opening` raises.
        """
        check_opening(params)
        if peer.session is not None:
            raise RpcError.of(
                Failure.INVALID_REQUEST, "Invalid request: this connection is initialized already"
            )
        peer.session = Session(peer, self._ready, self._codec)
        peer.session.capabilities = params.capabilities
        peer.introduce(Revision.LEGACY, params.client_info)
        told = capabilities(self._catalog, self._offered(params.capabilities))
        if "extensions" in told:
            # This revision's schema names only this place for them.
            told["experimental"] = told["extensions"]
        return InitializeResult(
            protocol_version=(
                params.protocol_version
                if params.protocol_version in HANDSHAKE_VERSIONS
                else Revision.LEGACY.value
            ),
            capabilities=told,
            server_info=self._info,
            instructions=self._instructions,
        )

    def initialized(self, peer: Peer) -> None:
        """`notifications/initialized`: from now on the session is told of list changes."""
        if peer.session is not None:
            self._list_changes.watch(peer.session, list(ListKind))

    def set_level(self, peer: Peer, params: SetLevelParams) -> Result:
        """`logging/setLevel`: from now on the session gets log messages of this level and above."""
        assert peer.session is not None
        peer.session.level = params.level
        return Result()

    def discover(self, client_capabilities: Mapping[str, object]) -> DiscoverResult:
        """Answer `server/discover`."""
        return DiscoverResult(
            supported_versions=list(SUPPORTED),
            capabilities=capabilities(self._catalog, self._offered(client_capabilities)),
            instructions=self._instructions,
        )

    def _offered(self, client_capabilities: Mapping[str, object]) -> Object | None:
        return self._extensions if is_declared(client_capabilities) else None
