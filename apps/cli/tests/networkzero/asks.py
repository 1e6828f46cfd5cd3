"""NetworkZero finds a service of the mesh by its name, calls it, and listens to another one."""
import json, sys
import networkzero as nw0

name, news, group = sys.argv[1:4]
by_name = ":" not in name
address = nw0.discover(name, wait_for_s=40) if by_name else name
publisher = nw0.discover(news, wait_for_s=40) if by_name else news
print(json.dumps(nw0.send_message_to(address, ["World", 1])))
topic, data = nw0.wait_for_news_from(publisher, "temp", wait_for_s=40)
print(json.dumps([topic, data]))
if by_name:
    print(json.dumps(sorted(found for found, _ in nw0.discover_group(group))))
    print(json.dumps(nw0.discover("nobody", wait_for_s=0.5)))
