"""The other end of the benchmark: `peer.py LIBRARY ROLE ARGUMENT`."""

import importlib
import sys

nw0 = importlib.import_module(sys.argv[1])
role, argument = sys.argv[2:]


def echo(name):
    address = nw0.advertise(name)
    print(address, flush=True)
    while True:
        nw0.send_reply_to(address, nw0.wait_for_message_from(address))


def news(name):
    address = nw0.advertise(name)
    print(address, flush=True)
    pose = {"x": 1.5, "y": -2.25, "name": "robot"}
    while True:
        nw0.send_news_to(address, "pose", pose)


def hello(name):
    # What a beginner's program does, from its first line to the first reply.
    print(nw0.send_message_to(nw0.discover(name), "World"), flush=True)


{"echo": echo, "news": news, "hello": hello}[role](argument)
