"""Letters that a tool writes, with data and metadata: `mcptrio serve tests.interop.servers.letters:app`."""

from mcptrio import App

app = App("letters")


@app.resource("letters://{to}/{number}")
async def letter(to: str, number: int) -> str:
    """A letter."""
    return f"letter {number} to {to}"


@app.tool
async def write(to: str, number: int, words: int) -> None:
    """Have a letter written, again if need be; everyone who watches is told."""
    data = {"words": words, "text": "lorem " * words}
    app.updated_nowait(f"letters://{to}/{number}", data=data, metadata={"author": "grace"})
