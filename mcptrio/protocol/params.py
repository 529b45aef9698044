"""What requests and notifications carry. Unknown members are ignored: the protocol's objects are open.

Optional members may be null too: some clients send every member.
"""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType, field

from mcptrio.protocol.extension import SUBSCRIPTIONS_KEY
from mcptrio.protocol.types import ClientInfo, Object, Wire


class NoParams(Wire, kw_only=True):
    """Nothing beside `_meta`."""


class InitializeParams(Wire, kw_only=True):
    """`initialize` (2025-11-25)."""

    protocol_version: str
    capabilities: Object
    client_info: ClientInfo


class PageParams(Wire, kw_only=True):
    """The four list methods; the cursor is opaque, and an empty string is a cursor too."""

    cursor: str | UnsetType | None = UNSET


class ResourceParams(Wire, kw_only=True):
    """`resources/read`, `resources/subscribe`, `resources/unsubscribe`."""

    uri: str


class CallToolParams(Wire, kw_only=True):
    """`tools/call`; the arguments stay JSON until the tool's own type reads them."""

    name: str
    arguments: Raw | UnsetType = UNSET


class GetPromptParams(Wire, kw_only=True):
    """`prompts/get`."""

    name: str
    arguments: dict[str, object] | UnsetType | None = UNSET


class PromptReference(Wire, tag_field="type", tag="ref/prompt", kw_only=True):
    """The prompt whose argument is to be completed."""

    name: str


class ResourceReference(Wire, tag_field="type", tag="ref/resource", kw_only=True):
    """The template whose variable is to be completed: its text, or a URI that fits it."""

    uri: str


class CompletionArgument(Wire, kw_only=True):
    """The argument being typed, and what of it there is."""

    name: str
    value: str


class CompletionContext(Wire, kw_only=True):
    """The arguments that have their value already."""

    arguments: dict[str, str] | UnsetType | None = UNSET


class CompleteParams(Wire, kw_only=True):
    """`completion/complete`."""

    ref: PromptReference | ResourceReference
    argument: CompletionArgument
    context: CompletionContext | UnsetType | None = UNSET


class SubscriptionFilter(Wire, kw_only=True):
    """What a `subscriptions/listen` asks for; also what its acknowledgement says is honoured."""

    tools_list_changed: bool | UnsetType = UNSET
    prompts_list_changed: bool | UnsetType = UNSET
    resources_list_changed: bool | UnsetType = UNSET
    resource_subscriptions: list[str] | UnsetType = UNSET
    subscriptions: Raw | UnsetType = field(default=UNSET, name=SUBSCRIPTIONS_KEY)
    """The extension's; whatever it is, for clients that have not declared it."""


class ListenParams(Wire, kw_only=True):
    """`subscriptions/listen` (2026-07-28)."""

    notifications: SubscriptionFilter


class CancelledParams(Wire, kw_only=True):
    """`notifications/cancelled`."""

    request_id: str | int
    reason: object = UNSET


class ProgressParams(Wire, kw_only=True):
    """`notifications/progress`."""

    progress_token: str | int
    progress: float
    total: float | UnsetType = UNSET
    message: str | UnsetType = UNSET
