"""Typed actors in Rust, and the command line, as the other end."""

import asyncio
import os
import pathlib
import signal
import subprocess
import threading
import unittest

import meshzero
from meshzero import aio

from .support import PATIENCE, unique

BUILT = os.environ.get("MESHZERO_TEST_BUILT")


@unittest.skipUnless(BUILT, "MESHZERO_TEST_BUILT says where the examples and mz are; `cargo xtask test` sets it")
class Rust(unittest.TestCase):
    def start(self, *command):
        # The examples end with their input.
        program = subprocess.Popen(
            [str(pathlib.Path(BUILT, command[0])), *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(program.stdin.close)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def mz(self, *arguments):
        command = [str(pathlib.Path(BUILT, "mz")), *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, timeout=PATIENCE, check=True, text=True).stdout.strip()

    def test_an_actor_of_another_language_is_called_by_the_names_of_its_messages(self):
        serving = self.start("examples/hello", "serve")
        self.assertIn("greeter is at", serving.stdout.readline())
        greeter = meshzero.find("greeter", PATIENCE)
        self.assertEqual(greeter.Hello("Ada"), "Hello, Ada!")
        self.assertEqual(greeter.send("Hello", "Grace"), "Hello, Grace!")
        with self.assertRaises(meshzero.Refused) as caught:
            greeter.Hello({"first": "Ada"})
        self.assertEqual((caught.exception.reason, caught.exception.is_safe_to_repeat), ("undecodable", True))
        with self.assertRaises(meshzero.Refused) as caught:
            greeter.Jump(height=2)
        self.assertEqual(caught.exception.handles, ("Hello",))
        serving.send_signal(signal.SIGINT)

    def test_fields_are_keyword_arguments_and_the_reply_is_a_dictionary(self):
        self.start("examples/robots", "robot", "python-test", "1000")
        robot = meshzero.find("robot/python-test", PATIENCE, wait_for_reply_s=PATIENCE)
        reply = robot.Go(to={"x": 3.0, "y": 4.0})
        self.assertEqual(set(reply), {"Ok"})
        self.assertAlmostEqual(reply["Ok"]["x"], 3.0, 3)
        topic, pose = meshzero.wait_for_news_from(robot.address, wait_for_s=PATIENCE)
        self.assertEqual((topic, type(pose)), ("pose", dict))

    def test_the_command_line_calls_a_service_and_hears_its_news(self):
        class Arm:
            def move(self, by):
                return [by, (by + 1, "tuple")]

        with meshzero.serve(Arm(), unique("arm")) as arm:
            self.assertEqual(self.mz("send", arm.name, "move", '{"by": 2}'), '[2,[3,"tuple"]]')
            listening = self.start("mz", "listen", arm.name, "--json", "--count", "1")
            line = None
            while line is None:
                arm.publish("pose", (1, 2))
                if listening.poll() is not None:
                    line = listening.stdout.read()
            self.assertIn("[1,2]", line.replace(" ", ""))

    @unittest.skipUnless(hasattr(signal, "SIGSTOP"), "this system cannot stop a program")
    def test_a_slow_subscriber_that_insists_on_every_item_holds_up_no_loop(self):
        address = meshzero.advertise(unique("flood"))
        listening = self.start("mz", "listen", address, "--json", "--lossless")
        heard = threading.Event()
        reading = threading.Thread(target=lambda: [heard.set() for _ in listening.stdout])
        reading.start()
        while not heard.wait(0.01):
            meshzero.send_news_to(address, "n", 0)
        listening.send_signal(signal.SIGSTOP)

        async def flood():
            at_once = type(aio.send_news_to(address, "n", 1))
            for _ in range(5_000):
                sent = aio.send_news_to(address, "n", "x" * 100_000)
                if type(sent) is at_once:
                    continue
                # It waits, and the loop goes on; at first the system's own buffers may still have room.
                waiting = asyncio.ensure_future(sent)
                for _ in range(100):
                    await asyncio.sleep(0)
                if not waiting.done():
                    break
                await waiting
            else:
                self.fail("nobody is waited for")
            listening.send_signal(signal.SIGCONT)
            await waiting

        asyncio.run(asyncio.wait_for(flood(), PATIENCE))
        listening.kill()
        reading.join(PATIENCE)
