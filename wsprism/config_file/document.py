"""A YAML file as plain data, with the line of every key: strict, bounded, and with ``${ENV}`` replaced.

Keys are taken as they are written (``on`` is a key, not a truth), and so are values that YAML 1.1 would read in base 60
or 8 (``1:2``, ``010``). A key that appears twice is a fault, as is a tag, an alias that contains itself, and a document
that aliases blow up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from wsprism.config_file.faults import Fault, SettingsError

__all__ = ["Document", "read_document", "render_path"]

Path = tuple[str | int, ...]

MAX_NODES = 200_000
MAX_DEPTH = 64
MAX_INTEGER_BITS = 64
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ODD_BASE = re.compile(r"[-+]?(0[0-7_]|[0-9_]+:)")
_MERGE = "tag:yaml.org,2002:merge"
_AS_WRITTEN = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", _MERGE}
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")} | _AS_WRITTEN
_UNREADABLE = (ValueError, OverflowError, KeyError, IndexError, yaml.YAMLError)
_MASK = "********"


@dataclass(slots=True)
class Document:
    """``lines`` has the line, from 1, of every key and list item by its path; ``references`` the text of every value
    that was nothing but a reference to the environment."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    references: dict[Path, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    faulty: set[Path] = field(default_factory=set)

    def line_of(self, path: Path) -> int:
        """The line of ``path``, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add_fault(self, line: int, path: Path, problem: str) -> None:
        """Remember a fault; the same one through another alias counts once."""
        fault = Fault(self.file, line, render_path(path), problem)
        self.faulty.add(path)
        if fault not in self.faults:
            self.faults.append(fault)


def read_document(file: str, env: Mapping[str, str], content: bytes | None = None) -> Document:
    """Read ``file``, or ``content`` under its name. Faults of its parts stand in ``faults``.

    Raises SettingsError when it is no YAML.
    """
    document = Document(file)
    loader: yaml.SafeLoader | None = None
    try:
        if content is None:
            with open(file, "rb") as stream:
                content = stream.read()
        text = content.decode("utf-8")
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise SettingsError([Fault(file, 1, "", "the file is empty")])
        document.data = _Builder(document, loader, env).build(root, ())
    except OSError as exc:
        raise SettingsError([Fault(file, 0, "", f"cannot be read: {exc.strerror}")]) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError([Fault(file, exc.object[: exc.start].count(b"\n") + 1, "", "is not UTF-8")]) from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark is not None else 0
        raise SettingsError([Fault(file, line, "", f"is not YAML: {exc.problem}")]) from exc
    except yaml.reader.ReaderError as exc:
        line = text[: exc.position].count("\n") + 1
        raise SettingsError([Fault(file, line, "", f"is not YAML: {exc.reason}")]) from exc
    except _TooDeep as exc:
        problem = f"is nested too deep: {MAX_DEPTH} levels are allowed"
        raise SettingsError([Fault(file, exc.line, "", problem)]) from exc
    except (ValueError, OverflowError) as exc:
        raise SettingsError([Fault(file, 0, "", f"is not YAML: {exc}")]) from exc
    finally:
        if loader is not None:
            loader.dispose()
    return document


class _TooDeep(Exception):
    """More than ``MAX_DEPTH`` levels, at ``line``: counted, so that it depends on no interpreter's stack."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Loader(yaml.SafeLoader):
    """PyYAML composes a node by calling itself."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep(int(self.peek_event().start_mark.line) + 1)  # type: ignore[no-untyped-call]
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Builder:
    def __init__(self, document: Document, loader: yaml.SafeLoader, env: Mapping[str, str]) -> None:
        self._document = document
        self._loader = loader
        self._env = env
        self._open: set[int] = set()
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if id(node) in self._open:
            raise SettingsError([Fault(self._document.file, _line(node), "", "an alias contains itself")])
        if len(path) > MAX_DEPTH:
            raise _TooDeep(_line(node))
        if self._nodes > MAX_NODES:
            raise SettingsError([Fault(self._document.file, _line(node), "", "aliases make the document too large")])
        self._document.lines.setdefault(path, _line(node))
        if node.tag not in _PLAIN:
            self._fault(node, path, f"the tag {node.tag.removeprefix('tag:yaml.org,2002:')!r} is not allowed")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for source in reversed(self._merge_sources(node, path)):
            merged |= self.build(source, path)
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key must be a plain word")
                continue
            key = self._text(key_node, path)
            if key is None:
                continue
            if key in own:
                first = self._document.lines[*path, key]
                self._fault(key_node, (*path, key), f"the key appears twice, first in line {first}: keep one")
            self._document.lines[*path, key] = _line(key_node)
            own[key] = self.build(value_node, (*path, key))
        return merged | own

    def _merge_sources(self, node: yaml.Node, path: Path) -> list[yaml.MappingNode]:
        """What ``<<`` names, the strongest first."""
        found: list[yaml.MappingNode] = []
        merges = [(key, value) for key, value in node.value if key.tag == _MERGE]
        for key, value in merges:
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            mappings = [source for source in sources if isinstance(source, yaml.MappingNode)]
            if len(mappings) < len(sources):
                self._fault(key, (*path, "<<"), "only a mapping, or a list of mappings, can be merged")
            found += mappings
        if len(merges) > 1:
            first = _line(merges[0][0])
            self._fault(merges[1][0], (*path, "<<"), f"the key appears twice, first in line {first}: keep one")
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = self._text(node, path)
        if text is None:
            return None
        if text == node.value:
            try:
                return self._construct(node)
            except _UNREADABLE:
                self._fault(node, path, "cannot be read as a value: quote it to make it a string")
                return None
        if not _REFERENCE.fullmatch(node.value):
            return text
        self._document.references[path] = text
        tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        try:
            return self._construct(yaml.ScalarNode(tag, text, node.start_mark, node.end_mark))
        except _UNREADABLE:
            return text

    def _text(self, node: yaml.ScalarNode, path: Path) -> str | None:
        """The text of a scalar, references replaced; None after a fault."""
        raw = str(node.value)
        missing: list[str] = []

        def replace(match: re.Match[str]) -> str:
            value = self._env.get(match[1], "")
            if not value and match[2] is None:
                missing.append(match[1])
            return value or match[2] or ""

        if "${" in _REFERENCE.sub("", raw):
            self._fault(node, path, "has a ${ that begins neither ${NAME} nor ${NAME:-default}")
            return None
        text = _REFERENCE.sub(replace, raw)
        for name in missing:
            state = "is empty in the environment" if name in self._env else "is not in the environment"
            self._fault(node, path, f"{name} {state}: set it, or write ${{{name}:-default}}")
        if not missing and not _is_unicode(text):
            self._fault(node, path, "is not text: it has half a character (a lone surrogate)")
            return None
        return None if missing else text

    def _construct(self, node: yaml.ScalarNode) -> Any:
        if node.tag in _AS_WRITTEN or (node.tag in _NUMBERS and _ODD_BASE.match(node.value)):
            return node.value
        value = self._loader.construct_object(node)
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            raise OverflowError
        return value

    def _fault(self, node: yaml.Node, path: Path, problem: str) -> None:
        self._document.add_fault(_line(node), path, problem)


def render_path(path: Path) -> str:
    """``("tenants", 0, "id")`` as ``tenants[0].id``. A ticket, which is a key of `tokens`, is a secret."""
    text = ""
    for position, part in enumerate(path):
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        shown = _MASK if path[:position][-1:] == ("tokens",) else part if part.isprintable() else ascii(part)
        text += f".{shown}" if text else shown
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
