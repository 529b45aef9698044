"""What is said: JSON-RPC messages, MCP's types, errors and the two revisions.

Sans-IO: bytes and values in, bytes and values out; no task, no socket, no state beyond constants. The
server and the client both speak
through this room, and neither adds a wire type of its own.
"""

from mcptrio.protocol.codec import Codec, LegacyCodec, ModernCodec
from mcptrio.protocol.envelope import RequestMeta, missing_envelope, read_meta, revision_of
from mcptrio.protocol.errors import Failure, ProtocolError, Refusal, RpcError
from mcptrio.protocol.jsonrpc import (
    ErrorObject,
    ErrorResponse,
    Message,
    Notification,
    Request,
    RequestId,
    Response,
    decode,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
)
from mcptrio.protocol.methods import METHODS, params_type, read_params
from mcptrio.protocol.revision import SUPPORTED, Revision

__all__ = [
    "METHODS",
    "SUPPORTED",
    "Codec",
    "ErrorObject",
    "ErrorResponse",
    "Failure",
    "LegacyCodec",
    "Message",
    "ModernCodec",
    "Notification",
    "ProtocolError",
    "Refusal",
    "Request",
    "RequestId",
    "RequestMeta",
    "Response",
    "Revision",
    "RpcError",
    "decode",
    "encode_error",
    "encode_notification",
    "encode_request",
    "encode_result",
    "missing_envelope",
    "params_type",
    "read_meta",
    "read_params",
    "revision_of",
]
