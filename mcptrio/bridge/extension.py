"""What a bridge reads of `io.mcptrio/live` (docs/extension.md). What has a wrong type is not there."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from mcptrio.protocol import RequestId
from mcptrio.protocol.envelope import SUBSCRIPTION_ID_KEY
from mcptrio.protocol.extension import CHANGE_KEY, SUBSCRIPTION_URI, SUBSCRIPTIONS_KEY

_Cursor = Annotated[str, Meta(pattern=r"\A[^.]*\.[0-9]{1,18}\Z")]


class Selection(Struct, frozen=True):
    """A subscription as the host asks for it, as far as it matters here."""

    label: str
    uri: str | UnsetType = UNSET
    since: _Cursor | UnsetType = UNSET

    @property
    def target(self) -> str:
        """The URI of what is told of it as a whole."""
        return SUBSCRIPTION_URI + self.label if self.uri is UNSET else self.uri


class Honoured(Struct, frozen=True):
    """A subscription as the server takes it, as far as it matters here."""

    label: str
    cursor: _Cursor
    recovered: bool = True


class Delivery(Struct, frozen=True):
    """A change of a label: a listen's, or the session's."""

    label: str
    offset: Annotated[int, Meta(ge=0)]
    listen: RequestId | None = None


class _SubscribeMeta(Struct, frozen=True):
    subscription: Raw = field(name=SUBSCRIPTIONS_KEY)


class _Subscribe(Struct, frozen=True):
    meta: _SubscribeMeta = field(name="_meta")


class _Filter(Struct, frozen=True):
    subscriptions: list[Raw] = field(name=SUBSCRIPTIONS_KEY)


class _Listen(Struct, frozen=True):
    notifications: _Filter


class _UpdatedMeta(Struct, frozen=True):
    change: Delivery = field(name=CHANGE_KEY)
    listen: RequestId | None = field(default=None, name=SUBSCRIPTION_ID_KEY)


class _Updated(Struct, frozen=True):
    meta: _UpdatedMeta = field(name="_meta")


_Shape = TypeVar("_Shape", bound=Struct)


def members(raw: Raw | bytes) -> dict[str, Raw]:
    """An object's members, each as it is; empty if it is none."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def subscribed(raw: Raw | None) -> tuple[Selection, Raw] | None:
    """The labelled subscription that the params of `resources/subscribe` ask for."""
    asked = _read(raw, _Subscribe)
    return None if asked is None else _selection(asked.meta.subscription.copy())


def listened(raw: Raw | None) -> dict[str, tuple[Selection, Raw]]:
    """The labelled subscriptions that the params of a listen ask for, by label, in their order."""
    asked = _read(raw, _Listen)
    each = [] if asked is None else [_selection(each) for each in asked.notifications.subscriptions]
    return {found[0].label: found for found in each if found is not None}


def answered(raw: Raw) -> Honoured | None:
    """What the result of `resources/subscribe` honours."""
    told = _read(raw, _Subscribe)
    return None if told is None else _read(told.meta.subscription, Honoured)


def acknowledged(raw: Raw | None) -> dict[str, Honoured]:
    """What an acknowledgement honours, by label."""
    told = _read(raw, _Listen)
    each = [] if told is None else [_read(each, Honoured) for each in told.notifications.subscriptions]
    return {found.label: found for found in each if found is not None}


def delivered(raw: Raw | None) -> Delivery | None:
    """The change that the params of an update bring; None for a plain one."""
    told = _read(raw, _Updated)
    return None if told is None else msgspec.structs.replace(told.meta.change, listen=told.meta.listen)


def _selection(raw: Raw) -> tuple[Selection, Raw] | None:
    found = _read(raw, Selection)
    return None if found is None else (found, raw)


def _read(raw: Raw | None, shape: type[_Shape]) -> _Shape | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, RecursionError):
        return None
