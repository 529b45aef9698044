"""The files below a directory (`kind = "files"`).

A `Files` owns what it has seen; its task watches, looks, compares and reports. A look at the disk is in `scan`, what
was seen and what changed since in `seen`, opening a file below the directory and nowhere else in `opening`.
"""

from mcptrio.sources.files.files import Files, install
from mcptrio.sources.files.settings import FilesSettings

__all__ = ["Files", "FilesSettings", "install"]
