"""What is offered: tools, resources, templates and prompts, as declared by plain Python functions.

A `Catalog` holds the declarations and runs the handlers. It knows no wire, no peer and no request id; of the
protocol it uses the types, the errors and the revision of a request, because the two revisions tell
structured results differently. The server asks it for lists, calls and reads, and gives each request a
`Context`.

- A tool's arguments become one generated Struct, so that checking and converting are one step, and its JSON
  schema; an argument that does not fit is a result with `is_error` that names it. A tool may be given its
  schema instead, which jsonschema-rs holds the arguments to.
- Parameters annotated with `Context`, or with a type that was given to `Catalog.declare`, are injected and
  in no schema. Types match exactly.
- An `async def` handler runs in the task of the request. A plain `def` runs in a thread, of which the
  catalog has a bounded number of its own.
- What a handler returns is encoded here (`mcptrio.catalog.content` has the table), what it raises is told or
  logged here (`mcptrio.catalog.errors` has the table). Nothing but `RpcError` and cancellation leaves a call.
- `Catalog.could_serve` says whether a URI may ever be a resource, from fixed URIs, templates and the
  patterns of sources.

State: the catalog owns its tables and limiters; they belong to the Trio thread and change synchronously.
Values that are injected belong to whoever provided them.
"""

from mcptrio.catalog.blocks import Audio, Image
from mcptrio.catalog.catalog import Catalog
from mcptrio.catalog.context import Context
from mcptrio.catalog.errors import DeclarationError, InvalidArgument, ResourceNotFound, ToolError
from mcptrio.catalog.header import Header
from mcptrio.catalog.list_kind import ListKind
from mcptrio.catalog.metadata import Caching
from mcptrio.catalog.prompt import Prompt
from mcptrio.catalog.questions import (
    Ask,
    Declined,
    Elicited,
    MissingCapability,
    QuestionFailed,
    Roots,
    Sample,
)
from mcptrio.catalog.resource import Resource
from mcptrio.catalog.signature import Function
from mcptrio.catalog.template import Template
from mcptrio.catalog.tool import Tool
from mcptrio.catalog.uri_template import UriTemplate, has_variables
from mcptrio.protocol.questions import Root, Sampled

__all__ = [
    "Ask",
    "Audio",
    "Caching",
    "Catalog",
    "Context",
    "DeclarationError",
    "Declined",
    "Elicited",
    "Function",
    "Header",
    "Image",
    "InvalidArgument",
    "ListKind",
    "MissingCapability",
    "Prompt",
    "QuestionFailed",
    "Resource",
    "ResourceNotFound",
    "Root",
    "Roots",
    "Sample",
    "Sampled",
    "Template",
    "Tool",
    "ToolError",
    "UriTemplate",
    "has_variables",
]
