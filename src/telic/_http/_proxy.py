"""Which proxy the environment names for a host: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY`.

Names are compared as everybody does: `example.com` and `.example.com` cover what ends so, `*` everything. Networks
(`10.0.0.0/8`), as clusters name them, cover hosts that are addresses in them. Hosts of this machine need no proxy.
"""

from __future__ import annotations

import base64
import os
from typing import Any, NamedTuple

from telic._http._message import Origin, parse_url
from telic._optional import load
from telic.errors import ConfigurationError


class Proxy(NamedTuple):
    """A proxy; `authorization` is the value of its header, or ""."""

    origin: Origin
    authorization: str


def proxy_for(origin: Origin) -> Proxy | None:
    """Return the proxy that the environment names for `origin`, or None.

    Raises:
        ConfigurationError: The variable holds something that is no http(s) URL.
    """
    if is_loopback(origin.host) or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    request = load("urllib.request")
    settings: dict[str, str] = request.getproxies_environment()
    kind = origin.scheme if settings.get(origin.scheme) else "all"
    url = settings.get(kind)
    if not url or _is_direct(origin, settings.get("no", ""), request):
        return None
    if "://" not in url:
        url = f"http://{url}"
    scheme = url.partition("://")[0].lower()
    if scheme.startswith("socks"):
        raise ConfigurationError(
            f"{kind.upper()}_PROXY names a {scheme} proxy for {origin.name}, and only http(s) proxies are known here; "
            f"set {origin.scheme.upper()}_PROXY to one, or NO_PROXY={origin.host} to go there directly"
        )
    address = parse_url(url, what=f"proxy for {origin.scheme} ({kind.upper()}_PROXY)")
    token = ""
    if address.user:
        pair = f"{address.user}:{address.password}".encode()
        token = f"Basic {base64.b64encode(pair).decode()}"
    return Proxy(address.origin, token)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_direct(origin: Origin, listed: str, request: Any) -> bool:
    if request.proxy_bypass_environment(f"{origin.host}:{origin.port}"):
        return True
    if "/" not in listed and "*." not in listed:
        return False
    addresses = load("ipaddress")
    for entry in (part.strip().lower() for part in listed.split(",")):
        if entry.startswith("*.") and origin.host.lower().endswith(entry[1:]):
            return True
        try:
            if "/" in entry and addresses.ip_address(origin.host) in addresses.ip_network(
                entry, strict=False
            ):
                return True
        except ValueError:  # a name, or no network
            continue
    return False
