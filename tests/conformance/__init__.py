"""The official conformance suite, which judges the server in scripts/conformance_server."""
