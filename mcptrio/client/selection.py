"""What a watch asks for: which resources, which of their changes, and how they are told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mcptrio.protocol.types import Object

CONFLATE, EVERY = "conflate", "every"
FIELDS = ("none", "metadata", "all")


def batch(window: float, max_wait: float) -> Object:
    """The policy that tells changes together: `window` seconds after the last one, and at most `max_wait` after the first.

    Raises:
        ValueError: `window` is not from 0.001 to 60, or `max_wait` not from `window` to 600.
    """
    if not (math.isfinite(window) and 0.001 <= window <= 60):
        raise ValueError(f"batch: the window must be from 0.001 to 60 seconds, not {window}")
    if not (math.isfinite(max_wait) and window <= max_wait <= 600):
        raise ValueError(
            f"batch: max_wait must be from the window, {window:g}, to 600 seconds, not {max_wait}"
        )
    return {"batch": {"windowMs": round(window * 1000), "maxWaitMs": round(max_wait * 1000)}}


class Selection:
    """One subscription of the extension, but for its label and where it begins. Immutable.

    Only its form is checked here; what a pattern or a filter may be is the server's to say.
    """

    def __init__(
        self,
        uri: str | None,
        template: str | None,
        glob: str | None,
        filter: Mapping[str, object] | None,
        policy: str | Mapping[str, object],
        fields: str | Sequence[str],
    ) -> None:
        given = {"uri": uri, "template": template, "glob": glob}
        named = {kind: text for kind, text in given.items() if text is not None}
        if len(named) != 1:
            found = " and ".join(named) or "none of them"
            raise ValueError(f"watch exactly one of a URI, a template and a glob: there is {found}")
        if policy not in (CONFLATE, EVERY) and not isinstance(policy, Mapping):
            raise ValueError(f"policy must be 'conflate', 'every' or batch(window, max_wait), not {policy!r}")
        if isinstance(fields, str) and fields not in FIELDS:
            raise ValueError(
                f"fields must be 'none', 'metadata', 'all' or a list of JSON pointers, not {fields!r}"
            )
        [(self.kind, self.text)] = named.items()
        self.merges = policy != EVERY
        self._asked: Object = dict(named)
        if filter is not None:
            self._asked["filter"] = dict(filter)
        if policy != CONFLATE:
            self._asked["policy"] = policy if isinstance(policy, str) else dict(policy)
        if fields != "none":
            self._asked["fields"] = fields if isinstance(fields, str) else list(fields)

    @property
    def uri(self) -> str | None:
        """The exact URI, if it is one."""
        return self.text if self.kind == "uri" else None

    @property
    def is_plain(self) -> bool:
        """Whether a plain subscription does as well."""
        return self._asked.keys() == {"uri"}

    def __str__(self) -> str:
        return self.text if self.kind == "uri" else f"{self.kind} {self.text}"

    def asked(self, label: str, since: str | None) -> Object:
        """The object that asks for it."""
        return {"label": label, **self._asked} | ({} if since is None else {"since": since})
