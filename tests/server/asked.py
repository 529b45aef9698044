"""A client that answers what it is asked, in either revision."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tests.server.rig import CAPABILITIES_KEY, INITIALIZE, House, Json, Wire, notification, request

CAPABLE: Json = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}


class Name(Struct):
    name: str


def accept(**content: object) -> Json:
    """The user has filled in a form."""
    return {"action": "accept", "content": content}


def said(text: str) -> Json:
    """The model has said something."""
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": "m",
        "stopReason": "endTurn",
    }


ROOTS: Json = {"roots": [{"uri": "file:///home", "name": "home"}, {"uri": "file:///tmp"}]}


def subject(question: Json) -> str:
    """What a question is about: a form's message, a sampling's last words, or its method."""
    params = question.get("params", {})
    assert isinstance(params, dict)
    if "messages" in params:
        return str(params["messages"][-1]["content"]["text"])
    return str(params.get("message", question["method"]))


class Talk:
    """One client's requests, with what it was asked meanwhile: rounds of questions, by key in 2026-07-28."""

    def __init__(self, wire: Wire, modern: bool, capabilities: Json) -> None:
        self.wire = wire
        self.modern = modern
        self.capabilities = capabilities
        self.rounds: list[dict[str, Json]] = []
        self.told: list[Json] = []

    @property
    def asked(self) -> list[str]:
        """What all questions were about."""
        return [subject(question) for each in self.rounds for question in each.values()]

    def meta(self, **meta: object) -> Json:
        return {CAPABILITIES_KEY: self.capabilities, **meta}

    async def request(self, method: str, params: Json, answers: Mapping[str, object]) -> Json:
        """Send a request and answer questions by what they are about; the last answer, as it came."""
        if self.modern:
            return await self._rounds(method, params, answers)
        await self.wire.send(request(7, method, params))
        while True:
            message = await self.wire.receive()
            if "method" not in message:
                return message
            if "id" not in message:
                self.told.append(message)
                continue
            self.rounds.append({str(message["id"]): message})
            await self.answer(message["id"], answers[subject(message)])

    async def answer(self, id: object, answer: object) -> None:
        await self.wire.send({"jsonrpc": "2.0", "id": id, "result": answer})

    async def _rounds(self, method: str, params: Json, answers: Mapping[str, object]) -> Json:
        more: Json = {}
        while True:
            answer = await self.attempt(method, {**params, **more})
            result = answer.get("result", {})
            assert isinstance(result, dict)
            if result.get("resultType") != "input_required":
                return answer
            self.rounds.append(result["inputRequests"])
            more = {
                "requestState": result["requestState"],
                "inputResponses": {
                    key: answers[subject(question)] for key, question in result["inputRequests"].items()
                },
            }

    async def attempt(self, method: str, params: Json) -> Json:
        """One try of a request (2026-07-28), without its envelope."""
        await self.wire.send(request(7, method, {**params, "_meta": self.meta()}, modern=True))
        while True:
            message = await self.wire.receive()
            if "method" not in message:
                return message
            self.told.append(message)

    async def call(self, tool: str, answers: Mapping[str, object], **arguments: object) -> Json:
        """Call a tool; its result."""
        answer = await self.request("tools/call", {"name": tool, "arguments": arguments}, answers)
        result = answer["result"]
        assert isinstance(result, dict), answer
        return result

    async def text(self, tool: str, answers: Mapping[str, object], **arguments: object) -> str:
        """Call a tool that succeeds; its text."""
        result = await self.call(tool, answers, **arguments)
        assert "isError" not in result, result
        return said_by(result)

    async def failure(self, tool: str, answers: Mapping[str, object]) -> str:
        """Call a tool that fails; its text."""
        result = await self.call(tool, answers)
        assert result["isError"] is True, result
        return said_by(result)


def said_by(result: Json) -> str:
    content = result["content"]
    assert isinstance(content, list)
    return str(content[0]["text"])


async def talk(home: House, modern: bool, capabilities: Json = CAPABLE) -> Talk:
    """A client that has declared what it can be asked."""
    wire = await home.connect()
    if not modern:
        await wire.result("initialize", {**INITIALIZE, "capabilities": capabilities})
        await wire.send(notification("notifications/initialized"))
    return Talk(wire, modern, capabilities)
