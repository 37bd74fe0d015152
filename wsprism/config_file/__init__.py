"""wsprism.yaml as a file: plain data with lines and faults, and the addresses that stand in it. Knows no key.

Apart from ``settings``, whose models cost several times as much to import as reading a file does: ``wsprism health``
reads where a gateway listens every few seconds.
"""

from wsprism.config_file.address import ListenAddress, parse_listen
from wsprism.config_file.document import Document, read_document, render_path
from wsprism.config_file.faults import Fault, SettingsError

__all__ = ["Document", "Fault", "ListenAddress", "SettingsError", "parse_listen", "read_document", "render_path"]
