"""Everything that the start would refuse, told without starting: ``check``, ``start`` and a reload read a file here.

What needs the world to be asked (is the address free, does the name resolve) is left to the start itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.state import find_fault
from wsprism.composition.service_code import ServiceCode
from wsprism.config_file import Document, Fault, SettingsError, read_document, render_path
from wsprism.errors import OperatorError
from wsprism.services.python import LoadFault
from wsprism.settings import Settings, load_settings, named_files
from wsprism.transport.http.tls import server_context

__all__ = ["check_configuration", "read_configuration", "shown_fault"]


def read_configuration(file: str, content: bytes | None = None, *, code: ServiceCode | None = None) -> Settings:
    """The settings in ``file``, or in ``content`` under its name. Raises SettingsError with every fault.

    ``code`` keeps the services that were loaded, for whoever runs them.
    """
    settings = load_settings(file, content=content)
    check_configuration(settings, file, content, code)
    return settings


def check_configuration(settings: Settings, file: str, content: bytes | None, code: ServiceCode | None = None) -> None:
    """What settings alone do not tell of what they name. Raises SettingsError with every fault."""
    problems = list(_of_files(settings)) or list(_of_tls(settings))
    problems += _of_state(settings)
    problems += _of_broker(settings)
    code_faults = list(_of_code(settings, code or ServiceCode()))
    if problems or code_faults:
        document = read_document(file, os.environ, content)
        lines = [document.line_of(tuple(path.split("."))) for path, _ in problems]
        faults = [Fault(file, line, *one) for line, one in zip(lines, problems, strict=True)]
        raise SettingsError([*faults, *(shown_fault(file, document, path, fault) for path, fault in code_faults)])


def shown_fault(file: str, document: Document | None, path: tuple[str | int, ...], fault: LoadFault) -> Fault:
    """In the line of the code's own file where there is one, else in the configuration's."""
    shown = render_path(path)
    if fault.file is not None:
        return Fault(fault.file, fault.line, shown, fault.problem, elsewhere=True)
    return Fault(file, 0 if document is None else document.line_of(path), shown, fault.problem)


def _of_code(settings: Settings, code: ServiceCode) -> Iterator[tuple[tuple[str | int, ...], LoadFault]]:
    for number, tenant in enumerate(settings.tenants):
        for fault in code.check(tenant):
            yield ("tenants", number, *fault.path), fault.fault


def _of_files(settings: Settings) -> Iterator[tuple[str, str]]:
    for (_, key), file in named_files(settings):
        try:
            with open(file, "rb") as stream:
                if not stream.read(1):
                    yield key, f"must be a file with something in it, found {file!r}"
        except OSError as exc:
            yield key, f"must be a file that can be read, found {file!r}: {exc.strerror}"
        except ValueError:
            yield key, f"must be the name of a file, found {file!r}"


def _of_tls(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.gateway.tls.cert_file is not None:
        try:
            server_context(settings.gateway.tls)
        except OperatorError as error:
            yield "gateway.tls", str(error).removeprefix("gateway.tls: ")


def _of_broker(settings: Settings) -> Iterator[tuple[str, str]]:
    broker = settings.gateway.broker
    if broker is None:
        return
    try:
        parse_address(broker.url.get_secret_value())
    except OperatorError as error:
        yield "gateway.broker.url", str(error).removeprefix("gateway.broker.url ")
    if find_spec("hiredis") is None:
        yield "gateway.broker", "needs more than is installed: pip install 'wsprism[redis]'"


def _of_state(settings: Settings) -> Iterator[tuple[str, str]]:
    path = settings.gateway.state_file
    fault = find_fault(path) if path is not None else None
    if fault is not None:
        yield "gateway.state_file", fault
