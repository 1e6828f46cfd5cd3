"""Prints the services of a type as they come and go, until it is killed."""

import sys
import threading

from zeroconf import ServiceBrowser, ServiceListener, Zeroconf


class Printer(ServiceListener):
    def add_service(self, zc, kind, name):
        info = zc.get_service_info(kind, name, timeout=10_000)
        if info is None:
            print("unresolved", name)
            return
        txt = [f"{key.decode()}={(value or b'').decode()}" for key, value in info.properties.items()]
        print("up", name, f"host={info.server}", "addresses=" + ",".join(info.parsed_addresses()), f"port={info.port}", *txt)

    def update_service(self, zc, kind, name):
        pass

    def remove_service(self, zc, kind, name):
        print("down", name)


zeroconf = Zeroconf()
browser = ServiceBrowser(zeroconf, sys.argv[1], Printer())
print("ready")
threading.Event().wait()
