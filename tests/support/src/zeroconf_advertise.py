"""Advertises one service until its standard input ends: TYPE NAME ADDRESS PORT [KEY=VALUE ...]."""

import sys

from zeroconf import ServiceInfo, Zeroconf

kind, name, address, port, *txt = sys.argv[1:]
info = ServiceInfo(
    kind,
    f"{name}.{kind}",
    port=int(port),
    parsed_addresses=[address],
    properties=dict(entry.split("=", 1) for entry in txt),
    server=f"{name}.local.",
)
zeroconf = Zeroconf()
zeroconf.register_service(info)
print("ready")
sys.stdin.read()
zeroconf.unregister_service(info)
zeroconf.close()
