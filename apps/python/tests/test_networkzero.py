"""NetworkZero's documented programs, with the one line of the import changed, as real processes."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import meshzero
from meshzero import networkzero

from .support import PATIENCE, Program, tearDownModule, unique

#: An interpreter that has NetworkZero and pyzmq.
TOOLS = os.environ.get("MESHZERO_TEST_TOOLS")

#: Programs under the old name.
NETWORKZERO = "import sys\nimport meshzero.networkzero as nw0\n\ndef say(*words):\n    print(*words, flush=True)\n\n"


class Programs(unittest.TestCase):
    def start(self, source, *arguments, prologue=Program.PROLOGUE):
        program = Program(source, *arguments, prologue=prologue)
        self.addCleanup(program.__exit__)
        return program

    def test_hello(self):
        hello = """
            address = nw0.advertise(sys.argv[1])
            say("serving")
            while True:
                name = nw0.wait_for_message_from(address)
                nw0.send_reply_to(address, "Hello " + name)
        """
        caller = """
            address = nw0.discover(sys.argv[1])
            for name in ["Alice", "Bob"]:
                say(nw0.send_message_to(address, name))
        """
        name = unique("hello")
        self.assertEqual(self.start(hello, name).line(), "serving")
        for prologue in (Program.PROLOGUE, NETWORKZERO):
            program = self.start(caller, name, prologue=prologue)
            self.assertEqual([program.line(), program.line()], ["Hello Alice", "Hello Bob"])
            program.finish()

    def test_a_name_that_is_waited_for(self):
        name = unique("later")
        early = self.start("say('waiting'); say(nw0.send_message_to(nw0.discover(sys.argv[1]), 'early'))", name)
        self.assertEqual(early.line(), "waiting")
        late = self.start("a = nw0.advertise(sys.argv[1]); nw0.send_reply_to(a, nw0.wait_for_message_from(a))", name)
        self.assertEqual(early.line(), "early")
        early.finish()
        late.finish()

    def test_a_robot_is_told_what_to_do(self):
        robot = """
            address = nw0.advertise(sys.argv[1])
            say("ready")
            while True:
                command = nw0.wait_for_message_from(address, autoreply=True)
                action, params = nw0.action_and_params(command)
                say(action, params)
                if action == "STOP":
                    break
        """
        name = unique("robot")
        program = self.start(robot, name)
        self.assertEqual(program.line(), "ready")
        address = meshzero.discover(name)
        for command in ["FORWARD 10", "SAY 'good morning'", "STOP"]:
            self.assertIsNone(meshzero.send_message_to(address, command))
        said = [program.line() for _ in range(3)]
        self.assertEqual(said, ["FORWARD ['10']", "SAY ['good morning']", "STOP []"])
        program.finish()

    def test_news_of_several_sources_on_some_topics(self):
        sensor = """
            address = nw0.advertise(sys.argv[1])
            say("ready")
            while True:
                for topic in ("temperature", "humidity", "noise"):
                    nw0.send_news_to(address, topic, [sys.argv[1], 20.5])
        """
        names = [unique("sensor/a"), unique("sensor/b")]
        for name in names:
            self.assertEqual(self.start(sensor, name).line(), "ready")
        reader = """
            sensors = [nw0.discover(name) for name in sys.argv[1:]]
            heard = set()
            while len(heard) < 4:
                topic, (name, value) = nw0.wait_for_news_from(sensors, ["temperature", "humid"])
                heard.add((topic, name))
            for topic, name in sorted(heard):
                say(topic, name)
        """
        program = self.start(reader, *names)
        expected = ["%s %s" % (topic, name) for topic in ("humidity", "temperature") for name in names]
        self.assertEqual([program.line() for _ in expected], expected)
        program.finish()

    def test_a_group_whose_members_come_and_go(self):
        group = unique("cluster")
        member = "address = nw0.advertise(sys.argv[1]); say(address); sys.stdin.readline()"
        members = {name: self.start(member, name) for name in (group + "/one", group + "/two")}
        addresses = {name: program.line() for name, program in members.items()}
        found = {}
        while found != addresses:
            found = dict(meshzero.discover_group(group))
        leaving = members[group + "/one"]
        leaving.tell()
        leaving.finish()
        while group + "/one" in dict(meshzero.discover_group(group)):
            pass
        self.assertEqual(dict(meshzero.discover_group(group)), {group + "/two": addresses[group + "/two"]})

    def test_a_chat_with_a_hub(self):
        hub = """
            hub = nw0.advertise(sys.argv[1])
            say("open")
            while True:
                action, params = nw0.wait_for_message_from(hub)
                if action == "JOIN":
                    nw0.send_news_to(hub, "JOIN", params)
                elif action == "SPEAK":
                    nw0.send_news_to(hub, "SPEAK", params)
                nw0.send_reply_to(hub, "OK")
        """
        listener = """
            hub = nw0.discover(sys.argv[1])
            nw0.wait_for_news_from(hub, wait_for_s=0)
            say("listening")
            for _ in range(2):
                say(*nw0.wait_for_news_from(hub))
        """
        name = unique("chat")
        self.assertEqual(self.start(hub, name).line(), "open")
        listening = self.start(listener, name)
        self.assertEqual(listening.line(), "listening")
        address = meshzero.discover(name)
        self.assertEqual(meshzero.send_message_to(address, ["JOIN", ["Alice"]]), "OK")
        self.assertEqual(meshzero.send_message_to(address, ("SPEAK", ("Alice", "hello"))), "OK")
        self.assertEqual(listening.line(), "JOIN ['Alice']")
        self.assertEqual(listening.line(), "SPEAK ('Alice', 'hello')")
        listening.finish()

    def test_sending_a_file(self):
        receiver = """
            import pathlib
            address = nw0.advertise(sys.argv[1])
            say("ready")
            filename, text = nw0.wait_for_message_from(address, autoreply=True)
            pathlib.Path(sys.argv[2], filename).write_bytes(nw0.string_to_bytes(text))
            filename, data = nw0.wait_for_message_from(address, autoreply=True)
            pathlib.Path(sys.argv[2], filename).write_bytes(data)
        """
        data = bytes(range(256)) * 1000
        with tempfile.TemporaryDirectory() as folder:
            name = unique("files")
            program = self.start(receiver, name, folder)
            self.assertEqual(program.line(), "ready")
            address = meshzero.discover(name)
            meshzero.send_message_to(address, ("as text", meshzero.bytes_to_string(data)))
            meshzero.send_message_to(address, ("as bytes", data))
            program.finish()
            for filename in ("as text", "as bytes"):
                self.assertEqual(pathlib.Path(folder, filename).read_bytes(), data)

    def test_polling_in_turns_with_other_work(self):
        game = """
            address = nw0.advertise(sys.argv[1])
            say("playing")
            turns, message = 0, None
            while message is None:
                turns += 1
                message = nw0.wait_for_message_from(address, wait_for_s=0, autoreply=True)
            say(message, turns > 0)
        """
        name = unique("game")
        program = self.start(game, name)
        self.assertEqual(program.line(), "playing")
        meshzero.send_message_to(meshzero.discover(name), "left")
        self.assertEqual(program.line(), "left True")
        program.finish()

    def test_reverso_between_two_that_know_each_other(self):
        reverso = """
            address = nw0.advertise(sys.argv[1])
            while True:
                message = nw0.wait_for_message_from(address)
                nw0.send_reply_to(address, message[::-1])
                if not message:
                    break
        """
        name = unique("reverso")
        program = self.start(reverso, name)
        address = meshzero.discover(name)
        self.assertEqual([meshzero.send_message_to(address, word) for word in ("abc", "")], ["cba", ""])
        program.finish()


class StandIn(unittest.TestCase):
    def test_the_submodules_that_programs_reach_into(self):
        self.assertIs(networkzero.core.NetworkZeroError, meshzero.NetworkZeroError)
        self.assertIs(networkzero.config.FOREVER, meshzero.FOREVER)
        self.assertEqual(networkzero.config.SHORT_WAIT, 1)
        self.assertEqual(networkzero.config.EVERYTHING, "")
        self.assertIn(50000, networkzero.config.DYNAMIC_PORTS)
        self.assertIn(80, networkzero.config.VALID_PORTS)
        self.assertEqual("x".encode(networkzero.config.ENCODING), b"x")
        self.assertIs(networkzero.discovery.advertise, networkzero.advertise)
        self.assertIs(networkzero.messenger.send_message_to, networkzero.sockets._sockets.send_message_to)
        self.assertEqual(networkzero.core.split_address("1.2.3.4:5"), ("1.2.3.4", "5"))
        self.assertTrue(networkzero.core.is_valid_address("192.168.*:80"))
        self.assertFalse(networkzero.core.is_valid_address("192.168.*:80000"))

    def test_the_lists_of_names_hold_what_is_documented(self):
        verbs = {"advertise", "discover", "discover_all", "discover_group", "send_message_to", "wait_for_message_from"}
        verbs |= {"send_reply_to", "send_news_to", "wait_for_news_from", "address", "action_and_params"}
        for names in (set(networkzero.__all__), set(dir(networkzero))):
            self.assertTrue(verbs <= names)
            self.assertFalse({"stand_in", "annotations"} & names)
        self.assertNotIn("annotations", dir(meshzero))

    @unittest.skipUnless(TOOLS, "MESHZERO_TEST_TOOLS says which interpreter has NetworkZero; `cargo xtask test` sets it")
    def test_the_lists_of_names_are_those_of_networkzero(self):
        listing = """if True:
            import importlib, json, types
            def names(package):
                found = {}
                for part in ("", ".core", ".config", ".discovery", ".messenger", ".sockets"):
                    module = importlib.import_module(package + part)
                    public = [name for name in dir(module) if not name.startswith("_")]
                    star = {}
                    exec("from %s import *" % (package + part), star)
                    # Of the modules only its own: what it imported from elsewhere is nobody's business.
                    def is_own(name):
                        value = getattr(module, name)
                        return not isinstance(value, types.ModuleType) or value.__name__.startswith(package)
                    found[part] = [sorted(filter(is_own, public)), sorted(filter(is_own, set(star) - {"__builtins__"}))]
                return found
        """
        theirs = subprocess.run(
            [TOOLS, "-c", listing + "\nprint(json.dumps(names('networkzero')))"], stdout=subprocess.PIPE, check=True, text=True
        )
        scope = {}
        exec(listing, scope)
        # What is made of ZeroMQ, and what `from __future__ import` leaves.
        foreign = {"Context", "Socket", "context", "get_socket", "string", "print_function"}
        for part, (public, star) in json.loads(theirs.stdout).items():
            own_public, own_star = scope["names"]("meshzero.networkzero")[part]
            self.assertEqual(own_public, sorted(set(public) - foreign), part)
            self.assertEqual(own_star, sorted(set(star) - foreign), part)
        self.assertTrue(callable(networkzero.core._enable_debug_logging))
        self.assertEqual(networkzero.core.PORT_POOL, list(range(49152, 65536)))

    @unittest.skipUnless(TOOLS, "MESHZERO_TEST_TOOLS says which interpreter has pyzmq; `cargo xtask test` sets it")
    def test_a_socket_of_zeromq_listens_at_an_address_that_was_named(self):
        listen = "import sys, zmq; zmq.Context.instance().socket(zmq.REP).bind('tcp://' + sys.argv[1]); print('bound')"
        done = subprocess.run(
            [TOOLS, "-c", listen, networkzero.address()], stdout=subprocess.PIPE, check=True, text=True, timeout=PATIENCE
        )
        self.assertEqual(done.stdout, "bound\n")

    def test_debug_logging(self):
        source = """
            import os
            os.chdir(sys.argv[1])
            nw0.core._enable_debug_logging()
            nw0.core._enable_debug_logging()
            nw0.core.get_logger("networkzero.game").debug("the game begins")
            nw0.advertise("game")
            nw0.wait_for_news_from("127.0.0.1:1", wait_for_s=0)
        """
        with tempfile.TemporaryDirectory() as folder:
            with Program(source, folder, prologue=NETWORKZERO) as program:
                program.finish()
            text = pathlib.Path(folder, "network.log").read_text()
        self.assertIn("networkzero.game DEBUG the game begins", text)
        self.assertRegex(text, "DEBUG meshzero.*joined node=.*")
        self.assertRegex(text, 'DEBUG meshzero.*a service is offered service="game"')
        self.assertRegex(text, "DEBUG meshzero.*no publisher yet; trying again address=127.0.0.1:1")

    def test_python_and_the_mesh_write_to_the_log_and_neither_overwrites_the_other(self):
        source = """
            import os
            os.chdir(sys.argv[1])
            nw0.core._enable_debug_logging()
            log = nw0.core.get_logger("networkzero.game")
            for number in range(3):
                log.debug("line %d of Python", number)
                nw0.wait_for_news_from("127.0.0.1:%d" % (number + 1), wait_for_s=0)
            log.debug("the last line")
        """
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "network.log")
            log.write_text("of the last time\n")
            with Program(source, folder, prologue=NETWORKZERO) as program:
                program.finish()
            lines = log.read_text().splitlines()
        said = [line for line in lines if "networkzero.game" in line or "no publisher yet" in line]
        for number in range(3):
            self.assertEqual(sum(line.endswith("line %d of Python" % number) for line in said), 1, lines)
            self.assertTrue(any("address=127.0.0.1:%d " % (number + 1) in line for line in said), lines)
        self.assertTrue(any(line.endswith("the last line") for line in said), lines)
        # Each line is whole: it begins with a time.
        self.assertEqual([line for line in lines if not re.match(r"\d{4}-\d\d-\d\d", line)], [])

    def test_it_stands_in_for_the_name(self):
        source = """
            nw0.stand_in()
            import networkzero
            from networkzero import config, sockets
            import networkzero.core
            say(networkzero is nw0, networkzero.core is nw0.core, config.FOREVER, sockets is nw0.sockets)
        """
        with Program(source, prologue=NETWORKZERO) as program:
            self.assertEqual(program.line(), "True True <Forever> True")
            program.finish()

    def test_every_name_is_there_with_the_signature_that_is_documented(self):
        import inspect

        for name, parameters in {
            "advertise": "name, address=None, fail_if_exists=False, ttl_s=20",
            "discover": "name, wait_for_s=60",
            "discover_all": "wait_for_s=60",
            "discover_group": "group, separator='/', exclude=None",
            "send_message_to": "address, message=None, wait_for_reply_s=<Forever>",
            "wait_for_message_from": "address, wait_for_s=<Forever>, autoreply=False",
            "send_reply_to": "address, reply=None",
            "send_news_to": "address, topic, data=None",
            "wait_for_news_from": "address, prefix='', wait_for_s=<Forever>, is_raw=False",
            "address": "address=None",
        }.items():
            for module in (meshzero, networkzero):
                found = inspect.signature(getattr(module, name)).parameters.values()
                shown = ", ".join(str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in found)
                self.assertEqual(shown, parameters)

    def test_exceptions_are_made_as_there(self):
        self.assertEqual(meshzero.SocketTimedOutError(5).n_seconds, 5)
        error = meshzero.InvalidAddressError("nowhere", 7)
        self.assertEqual((error.address, error.errno), ("nowhere", 7))
        self.assertIn("nowhere is not a valid address", str(error))
        for kind in (meshzero.AddressError, meshzero.InvalidAddressError, meshzero.DifferentThreadError):
            self.assertTrue(issubclass(kind, meshzero.NetworkZeroError))
        self.assertTrue(issubclass(meshzero.NoAddressFoundError, meshzero.AddressError))
