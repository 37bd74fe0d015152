"""A YAML file as plain data, with the line of every key: strict, bounded, and with ``${ENV}`` replaced.

Keys are taken as they are written (``on`` is a key, not a truth); a key that appears twice is a fault, as is a tag, an
alias that contains itself, and a document that aliases blow up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from wsprism.settings.faults import Fault, SettingsError

__all__ = ["Document", "read_document"]

Path = tuple[str | int, ...]

MAX_NODES = 200_000
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MERGE_TAG = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}


@dataclass(slots=True)
class Document:
    """``lines`` has the line, from 1, of every key and list item by its path."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of ``path``, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(file: str, env: Mapping[str, str]) -> Document:
    """Read ``file``. What is wrong in its parts stands in ``faults``; raises SettingsError when it is no YAML at all."""
    document = Document(file)
    loader: yaml.SafeLoader | None = None
    try:
        with open(file, "rb") as stream:
            text = stream.read().decode("utf-8")
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise SettingsError([Fault(file, 1, "", "the file is empty")])
        document.data = _Builder(document, loader, env).build(root, ())
    except OSError as exc:
        raise SettingsError([Fault(file, 0, "", f"cannot be read: {exc.strerror}")]) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError([Fault(file, 0, "", "is not UTF-8")]) from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark is not None else 0
        raise SettingsError([Fault(file, line, "", f"is not YAML: {exc.problem}")]) from exc
    except (yaml.YAMLError, RecursionError) as exc:
        raise SettingsError([Fault(file, 0, "", f"is not YAML: {type(exc).__name__}")]) from exc
    finally:
        if loader is not None:
            loader.dispose()
    return document


class _Builder:
    def __init__(self, document: Document, loader: yaml.SafeLoader, env: Mapping[str, str]) -> None:
        self._document = document
        self._loader = loader
        self._env = env
        self._open: set[int] = set()
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or id(node) in self._open:
            raise SettingsError([Fault(self._document.file, _line(node), "", "aliases make the document too large")])
        self._document.lines.setdefault(path, _line(node))
        if node.tag not in _PLAIN_TAGS:
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
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_TAG:
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    built = self.build(source, path)
                    if isinstance(built, dict):
                        merged = built | merged
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in own:
                self._fault(key_node, (*path, key), "the key appears twice")
            self._document.lines[*path, key] = _line(key_node)
            own[key] = self.build(value_node, (*path, key))
        return merged | own

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = str(node.value)
        if "${" not in text:
            return self._construct(node, path)
        missing: list[str] = []

        def replace(match: re.Match[str]) -> str:
            value = self._env.get(match[1])
            if not value and match[2] is not None:
                return match[2]
            if value is None:
                missing.append(match[1])
            return value or ""

        replaced = _REFERENCE.sub(replace, text)
        for name in missing:
            self._fault(node, path, f"the environment has no {name}, and ${{{name}:-default}} gives no default")
        if missing or not _REFERENCE.fullmatch(text):
            return replaced
        tag = self._loader.resolve(yaml.ScalarNode, replaced, (True, False))
        return self._construct(yaml.ScalarNode(tag, replaced, node.start_mark, node.end_mark), path)

    def _construct(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._fault(node, path, f"cannot be read as a value, found {node.value!r}")
            return None

    def _fault(self, node: yaml.Node, path: Path, problem: str) -> None:
        self._document.faults.append(Fault(self._document.file, _line(node), render_path(path), problem))


def render_path(path: Path) -> str:
    """``("tenants", 0, "id")`` as ``tenants[0].id``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
