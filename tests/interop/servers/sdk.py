"""A server on the official SDK, of either version: `sdk.py http` says on standard error where it listens, or `sdk.py stdio`."""

import sys

try:
    from mcp.server.mcpserver import Context, MCPServer
except ImportError:  # the older SDK
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer

transport = sys.argv[1]
older = MCPServer.__name__ == "FastMCP"
server = MCPServer("judge", **({"port": 0} if older else {}))


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def count(to: int, ctx: Context) -> str:
    for number in range(to):
        await ctx.report_progress(number + 1, to)
    return "done"


@server.resource("note://x")
def note() -> str:
    return "hello"


if transport == "stdio":
    server.run(transport="stdio")
else:
    server.run(transport="streamable-http", **({} if older else {"port": 0}))
