"""nginx with the canned answers, a process of this user on free ports. The own server answers where it is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from benchmarks.answers import TYPES

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 600;
    client_max_body_size 0;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    types {{ {types} }}
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        listen 127.0.0.1:{tls} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location /answers/ {{ internal; root {folder}; }}
        {locations}
    }}
}}
"""
# A POST of a file is refused with 405, which is then answered with the file.
LOCATION = "location /{name}/{version}/ {{ error_page 405 =200 /answers/{file}; return 405; }}"


def found() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Nginx:
    """A running nginx.

    Args:
        program: Its path.
        folder: A folder with the answers in `answers`; nginx writes here too.
        certificate: Its certificate and key in one PEM file.
    """

    def __init__(self, program: str, folder: Path, certificate: Path) -> None:
        ports = _free_ports(2)
        self.plain, self.tls = f"http://127.0.0.1:{ports[0]}", f"https://localhost:{ports[1]}"
        locations = []
        for file in sorted((folder / "answers").iterdir()):
            name, version, _ = file.name.split(".")
            locations.append(LOCATION.format(name=name, version=version, file=file.name))
        configuration = CONFIGURATION.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",  # else its worker cannot read the folder
            certificate=certificate,
            plain=ports[0],
            tls=ports[1],
            types=" ".join(f"{kind} {ending[1:]};" for ending, kind in TYPES.items()),
            locations="\n        ".join(locations),
        )
        path = folder / "nginx.conf"
        path.write_text(configuration)
        self._process = subprocess.Popen([program, "-p", str(folder), "-c", str(path)])
        self._wait(ports[0])

    def _wait(self, port: int) -> None:
        ends = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > ends:
                    self.stop()
                    raise RuntimeError("nginx did not start") from None
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def version(program: str) -> str:
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition(" ")[2].replace("nginx/", "nginx ")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
