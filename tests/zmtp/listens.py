"""A ZeroMQ SUB socket that receives a service's news: two prefixes, then one less, then another."""
import json, sys, zmq

address, = sys.argv[1:]
context = zmq.Context()
sub = context.socket(zmq.SUB)
sub.setsockopt(zmq.RCVTIMEO, 20_000)
sub.setsockopt(zmq.LINGER, 0)
sub.connect("tcp://" + address)
sub.subscribe(b"wind")
sub.subscribe(b"rain/")
print("listening")
for line in sys.stdin:
    what, _, prefix = line.strip().partition(" ")
    if what == "take":
        topic, data = sub.recv_multipart()
        print(json.dumps([topic.decode(), json.loads(data)]))
    elif what == "subscribe":
        sub.subscribe(prefix.encode())
    elif what == "cancel":
        sub.unsubscribe(prefix.encode())
