"""A REQ and a DEALER of ZeroMQ ask a service; each line is what came of one thing."""
import json, sys, zmq

address, = sys.argv[1:]
context = zmq.Context()


def socket(kind):
    made = context.socket(kind)
    made.setsockopt(zmq.RCVTIMEO, 20_000)
    made.setsockopt(zmq.LINGER, 0)
    made.connect("tcp://" + address)
    return made


def show(*what):
    print(json.dumps(what))


req = socket(zmq.REQ)
for message in ["Alice", {"a": [1, 2.5, None, True]}, "ü" * 70_000]:
    req.send(json.dumps(message).encode())
    show("req", json.loads(req.recv()) == message)
req.send(b"{not json")
show("req wrong", json.loads(req.recv()))

dealer = socket(zmq.DEALER)
for number in range(500):
    dealer.send_multipart([b"id%d" % number, b"", json.dumps(number).encode()])
answers = [dealer.recv_multipart() for _ in range(500)]
show("dealer", answers == [[b"id%d" % n, b"", json.dumps(n).encode()] for n in range(500)])
dealer.send(b'"bare"')
show("dealer bare", json.loads(dealer.recv()))

# A socket of the wrong kind is told, and reaches nothing.
wrong = context.socket(zmq.PULL)
monitor = wrong.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
wrong.connect("tcp://" + address)
show("pull", monitor.poll(20_000) != 0)
