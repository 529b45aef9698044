"""The extension `io.mcptrio/live` over the wire, as docs/extension.md has it. Keeps nothing: each test has an app of its own."""
