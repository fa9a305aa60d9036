"""A headless Chromium driven over WebDriver (https://www.w3.org/TR/webdriver2/): the few commands the checks need.

The protocol is JSON over HTTP, so it takes no package beside the HTTP library. It must not know the page.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx2

FOREIGN = "evil.example"
"""A name that leads the browser to this machine, as that of an attacker who rebinds it would."""
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_PATIENCE = 30  # seconds
_ARGUMENTS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1",
]


class Browser:
    """One window, open between entering and leaving.

    Args:
        trusting: Whether it takes every certificate. Otherwise it warns, as that of a user.
    """

    def __init__(self, *, trusting: bool = True) -> None:
        self._trusting = trusting

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
            opened.callback(driver.communicate, timeout=_PATIENCE)
            opened.callback(driver.terminate)
            assert driver.stdout is not None
            begun = (re.search(r"successfully on port (\d+)", line) for line in driver.stdout)
            self._session = f"http://127.0.0.1:{next(found[1] for found in begun if found)}/session"
            self._http = opened.enter_context(httpx2.Client(timeout=2 * _PATIENCE, trust_env=False))
            # Chromium's sandbox refuses to run as root.
            arguments = [*_ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else _ARGUMENTS
            wanted = {
                "acceptInsecureCerts": self._trusting,
                "timeouts": {"script": _PATIENCE * 1000},
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            self._session += f"/{session['sessionId']}"
            opened.callback(self._ask, "DELETE", "")
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def open(self, url: str) -> None:
        """Load a page and forget what the console said before."""
        self.console()
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page and return what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def until(self, condition: str) -> Any:
        """Wait until an expression is true in the page, and return its value."""
        script = f"""
            const done = arguments[0];
            const look = () => {{ const found = {condition}; found ? done(found) : setTimeout(look, 10); }};
            look();
        """
        return self.later(script)

    def later(self, script: str) -> Any:
        """Run the body of a function in the page and return what it gives to its first argument, a function."""
        return self._ask("POST", "/execute/async", {"script": script, "args": []})

    def text(self, selector: str) -> str:
        """Return the text of an element as it is seen."""
        found: str = self._ask("GET", f"/element/{self._find(selector)}/text")
        return found

    def type(self, selector: str, text: str) -> None:
        """Press keys in an element; a line feed is the Enter key."""
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": text.replace("\n", "\ue007")})

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def console(self) -> list[str]:
        """Return what the console said since the last time."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def language(self, name: str) -> None:
        """Prefer a language from the next page on."""
        agent = self.run("return navigator.userAgent")
        self._tools("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=name)

    def theme(self, name: str) -> None:
        """Prefer a light or dark theme."""
        self._tools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def size(self, width: int, height: int) -> None:
        """Make the window as large as a screen of so many pixels."""
        self._tools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def picture(self, path: Path) -> None:
        """Keep a picture of the whole page as PNG."""
        shot = self._tools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _tools(self, command: str, **parameters: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector: str) -> str:
        found: str = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, self._session + path, json=body)
        value = answer.json()["value"]
        assert answer.is_success, value
        return value
