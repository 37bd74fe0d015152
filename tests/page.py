"""A page in a real browser, used as a person does: by the roles and names of the accessibility tree, mouse and keys."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from typing import Any

from tests.browser import DevToolsError, Tab

__all__ = ["Page"]

WAIT_S = 40.0
CONTROL = 2

Node = int
"""An element, as DevTools names it."""

_KEYS = {
    "Backspace": (8, ""),
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    " ": (32, " "),
    "ArrowDown": (40, ""),
}


class Page:
    """``watch`` before it is used: from then on ``complaints`` are what the browser has to say about it."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    async def watch(self) -> None:
        for domain in ("DOM", "Accessibility", "Log", "Runtime", "Page"):
            await self.tab.call(f"{domain}.enable")

    async def go(self, url: str) -> None:
        await self.tab.call("Page.navigate", url=url)
        await self.tab.until("document.readyState === 'complete'")

    @property
    def complaints(self) -> list[str]:
        """Exceptions and violations of its policy. What could not be fetched is not the page's fault."""
        found = []
        for event in self.tab.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            entry = event["params"].get("entry", {}) if event["method"] == "Log.entryAdded" else {}
            if entry.get("level") == "error" and entry.get("source") != "network" and "WebSocket" not in entry["text"]:
                found.append(entry["text"])
        return found

    # Finding

    async def all(self, role: str, name: str | None = None, within: Node | None = None) -> list[Node]:
        """Every element that is shown with this role and exactly this name, in the order of the page."""
        where: dict[str, Any] = {"backendNodeId": within}
        if within is None:
            root = (await self.tab.call("DOM.getDocument", depth=0))["root"]
            where = {"nodeId": root["nodeId"]}
        if name is not None:
            where["accessibleName"] = name
        found = (await self.tab.call("Accessibility.queryAXTree", role=role, **where))["nodes"]
        return [one["backendDOMNodeId"] for one in found if not one.get("ignored")]

    async def find(self, role: str, name: str | None = None, within: Node | None = None, at: int = 0) -> Node:
        """The first (or ``at``) of them, once it is there."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(DevToolsError):  # drawn anew, or loaded, at this moment
                found = await self.all(role, name, within)
                if len(found) > at:
                    return found[at]
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {role} {name!r}\n{await self.text()}")

    async def gone(self, role: str, name: str | None = None) -> None:
        """Wait until there is none."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(DevToolsError):
                if not await self.all(role, name):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"still a {role} {name!r}\n{await self.text()}")

    async def row(self, text: str, within: Node | None = None) -> Node:
        """The row of a table that shows ``text`` as one of its words."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(DevToolsError):
                for row in await self.all("row", None, within):
                    if text in (await self.text_of(row)).split():
                        return row
            await asyncio.sleep(0.05)
        raise AssertionError(f"no row with {text!r}\n{await self.text()}")

    # Doing

    async def click(self, role: str, name: str | None = None, within: Node | None = None, at: int = 0) -> None:
        """With the mouse, in the middle of it; it may be drawn anew meanwhile."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            try:
                return await self.click_on(await self.find(role, name, within, at))
            except DevToolsError:
                await asyncio.sleep(0.05)
        raise AssertionError(f"{role} {name!r} does not keep still")

    async def click_in_row(self, name: str, text: str) -> None:
        """A button in the row that shows ``text``."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(DevToolsError):
                if found := await self.all("button", name, await self.row(text)):
                    return await self.click_on(found[0])
            await asyncio.sleep(0.05)
        raise AssertionError(f"no button {name!r} in the row of {text!r}\n{await self.text()}")

    async def click_on(self, node: Node) -> None:
        await self.tab.call("DOM.scrollIntoViewIfNeeded", backendNodeId=node)
        x1, y1, _, _, x2, y2, *_ = (await self.tab.call("DOM.getContentQuads", backendNodeId=node))["quads"][0]
        where = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            await self.tab.call("Input.dispatchMouseEvent", type=kind, **where)

    async def fill(self, name: str, text: str, within: Node | None = None, *, role: str = "textbox") -> None:
        """Write into a field, over what is there."""
        node = await self.find(role, name, within)
        await self.tab.call("DOM.focus", backendNodeId=node)
        await self.call_on(node, "function() { this.select(); }")
        if text:
            await self.tab.call("Input.insertText", text=text)
        else:
            await self.press("Backspace")

    async def press(self, key: str, times: int = 1) -> None:
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
        for _ in range(times):
            fields = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.tab.call("Input.dispatchKeyEvent", type="keyDown", text=text, **fields)
            await self.tab.call("Input.dispatchKeyEvent", type="keyUp", **fields)

    async def confirm(self, answer: str = "Confirm") -> None:
        """Answer the dialog that asks."""
        await self.click("button", answer, await self.find("dialog"))
        await self.gone("dialog")

    # Looking

    async def call_on(self, node: Node, function: str) -> Any:
        """What a function in JavaScript gives whose ``this`` is the element."""
        object_id = (await self.tab.call("DOM.resolveNode", backendNodeId=node))["object"]["objectId"]
        answer = await self.tab.call(
            "Runtime.callFunctionOn", objectId=object_id, functionDeclaration=function, returnByValue=True
        )
        return answer["result"].get("value")

    async def text_of(self, node: Node) -> str:
        return str(await self.call_on(node, "function() { return this.innerText; }"))

    async def text(self) -> str:
        return str(await self.tab.run("document.body.innerText"))

    async def shows(self, text: str) -> None:
        """Wait until the page shows it."""
        await self.tab.until(f"document.body.innerText.includes({text!r})")

    async def alert(self) -> str:
        """What an alert says, once there is one; it may be drawn anew meanwhile."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(DevToolsError):
                return await self.text_of(await self.find("alert"))
        raise AssertionError("no alert keeps still")

    async def focused(self) -> str:
        """The name of what has the focus."""
        script = (
            "const e = document.activeElement; e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText"
        )
        return str(await self.tab.run(f"(() => {{ {script.replace('e.getAttribute', 'return e.getAttribute')} }})()"))

    async def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        await self.tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = "dark" if dark else "light"
        await self.tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, width: int, height: int, scale: float = 1.0) -> bytes:
        """What is to be seen at the top left of the window, as a PNG."""
        x, y = await self.tab.run("[scrollX, scrollY]")
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": scale}
        shot = await self.tab.call("Page.captureScreenshot", format="png", clip=clip)
        return base64.b64decode(shot["data"])
