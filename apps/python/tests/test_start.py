"""What importing costs, and that everything is typed."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import meshzero


class Imports(unittest.TestCase):
    def test_nothing_large_is_imported_before_it_is_needed(self):
        large = ["asyncio", "logging", "typing", "inspect", "json", "socket", "threading", "importlib.metadata"]
        code = "import sys, meshzero; print([name for name in %r if name in sys.modules])" % large
        # Without the site's own imports.
        found = subprocess.run(
            [sys.executable, "-S", "-c", "import sys; sys.path[:0] = %r; %s" % (sys.path, code)],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        self.assertEqual(found.stdout.strip(), "[]")

    def test_all_names_are_there(self):
        for name in meshzero.__all__:
            self.assertIsNotNone(getattr(meshzero, name).__doc__, name)
        with self.assertRaises(AttributeError):
            meshzero.no_such_name


MYPY = ("mypy", "--strict", "--no-incremental")

#: An interpreter that has mypy.
TOOLS = os.environ.get("MESHZERO_TEST_TOOLS")


@unittest.skipUnless(TOOLS, "MESHZERO_TEST_TOOLS says which interpreter has mypy; `cargo xtask test` sets it")
class Types(unittest.TestCase):
    SAMPLE = """
import asyncio
import meshzero as nw0
from meshzero import aio

address = nw0.advertise("sample")
assert address is not None
reply: dict[str, int] = nw0.send_message_to(address, {"x": (1, b"2")}, 5)
topic, data = nw0.wait_for_news_from([address], prefix=["a", "b"], wait_for_s=0.5)
for name, where in nw0.discover_group("group"):
    print(name.upper(), where.split(":"))
with nw0.listen(address) as news:
    for topic, data in news:
        print(topic, data, news.missed + 1)
arm = nw0.find("robot/arm")
print(arm.Move(x=1.0), arm.address.upper())

@nw0.service("robot/arm")
class Arm:
    def move(self, by: float) -> float:
        return by

with nw0.serve(Arm()) as service:
    service.publish("pose", (1, 2))

async def main() -> None:
    found = await aio.discover("sample")
    assert found is not None
    print(found.upper(), await aio.send_message_to(found, wait_for_reply_s=nw0.FOREVER))
    async for request in aio.requests(found):
        request.reply(request.message)

asyncio.run(main())
"""

    def run_tool(self, *command):
        # The package is looked for where this interpreter has it.
        packages = str(pathlib.Path(meshzero.__file__).parent.parent)
        environment = {**os.environ, "PYTHONPATH": packages}
        done = subprocess.run(
            [TOOLS, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        )
        return done.returncode, done.stdout

    def check(self, source):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as sample:
            sample.write(source)
            sample.flush()
            return self.run_tool(*MYPY, "--python-executable", sys.executable, sample.name)

    def test_a_program_is_checked_against_the_package(self):
        code, text = self.check(self.SAMPLE)
        self.assertEqual(code, 0, text)
        code, text = self.check("import meshzero\nmeshzero.discover(7)\n")
        self.assertIn("arg-type", text)

    def test_the_package_and_its_native_half_are_typed(self):
        for command in (
            [*MYPY, "--python-executable", sys.executable, "-p", "meshzero"],
            ["mypy.stubtest", "meshzero._meshzero", "--ignore-missing-stub"],
        ):
            code, text = self.run_tool(*command)
            self.assertEqual(code, 0, text)
