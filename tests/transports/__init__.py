"""One contract over every transport and revision, written once, beside what only one of them has.

A `Conversation` is a client that is the same to a test over WebSocket, Streamable HTTP and stdio, in both revisions. All of
it is in memory, under a clock that jumps.
"""
