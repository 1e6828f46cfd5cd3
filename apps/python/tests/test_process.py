"""Ctrl-C, threads, forks and the end of a program."""

import os
import textwrap
import threading
import time
import unittest

import meshzero as nw0

from .support import PATIENCE, Program, answering, unique, tearDownModule

#: Ends a wait by Ctrl-C, says so, and goes on with the same address.
INTERRUPTED = """
    address = nw0.advertise(sys.argv[1])
    # Python itself loses an interrupt that comes while it imports something.
    nw0.listen
    try:
        say("ready")
        {wait}
    except KeyboardInterrupt as interrupt:
        say(type(interrupt).__name__)
    say(nw0.wait_for_message_from(nw0.advertise(sys.argv[1])))
    nw0.send_reply_to(address, "still here")
"""


class Interrupts(unittest.TestCase):
    def interrupt(self, wait, expected):
        name = unique("interrupted")
        with Program(INTERRUPTED.format(wait=wait), name) as program:
            self.assertEqual(program.line(), "ready")
            program.interrupt()
            # Whether it has come to wait by now cannot be told from outside; Ctrl-C is Python's own until then.
            self.assertIn(program.line(), (expected, "KeyboardInterrupt"))
            address = nw0.discover(name, PATIENCE)
            self.assertEqual(nw0.send_message_to(address, "hello", PATIENCE), "still here")
            self.assertEqual(program.line(), "hello")
            program.finish()

    def test_waiting_for_a_message(self):
        self.interrupt("nw0.wait_for_message_from(address)", "SocketInterruptedError")

    def test_waiting_for_a_reply(self):
        self.interrupt("nw0.send_message_to(nw0.advertise('deaf ' + sys.argv[1]), 'hello')", "SocketInterruptedError")

    def test_waiting_for_news(self):
        self.interrupt("nw0.wait_for_news_from(address)", "SocketInterruptedError")

    def test_waiting_for_a_name(self):
        self.interrupt("nw0.discover('nobody ' + sys.argv[1])", "KeyboardInterrupt")

    def test_waiting_for_somebody_to_be_there(self):
        self.interrupt("nw0.send_message_to('127.0.0.1:1', 'hello')", "SocketInterruptedError")

    def test_looking_whether_a_name_is_new(self):
        self.interrupt("nw0.advertise('new ' + sys.argv[1], fail_if_exists=True)", "KeyboardInterrupt")

    def test_a_name_that_was_looked_for_in_vain_is_not_advertised(self):
        source = """
            import os, signal, threading
            name = sys.argv[1]
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                nw0.advertise(name, fail_if_exists=True)
            except KeyboardInterrupt:
                say("interrupted")
            say(nw0.discover(name, 1))
            say(nw0.advertise(name, fail_if_exists=True) == nw0.discover(name, 1))
        """
        with Program(source, unique("interrupted")) as program:
            self.assertEqual([program.line() for _ in range(3)], ["interrupted", "None", "True"])
            program.finish()

    def test_the_exception_is_that_of_networkzero_and_that_of_python(self):
        self.assertTrue(issubclass(nw0.SocketInterruptedError, nw0.NetworkZeroError))
        self.assertTrue(issubclass(nw0.SocketInterruptedError, KeyboardInterrupt))

    def test_iterating_over_news(self):
        self.interrupt("list(nw0.listen(address))", "SocketInterruptedError")

    def test_a_handler_of_ones_own_runs_and_the_wait_goes_on(self):
        source = """
            import signal
            signal.signal(signal.SIGINT, lambda *_: say("handled"))
            address = nw0.advertise(sys.argv[1])
            say(address)
            say(nw0.wait_for_message_from(address, autoreply=True))
        """
        with Program(source, unique("handler")) as program:
            address = program.line()
            program.interrupt()
            self.assertEqual(program.line(), "handled")
            nw0.send_message_to(address, "hello", PATIENCE)
            self.assertEqual(program.line(), "hello")
            program.finish()


class Threads(unittest.TestCase):
    def test_threads_share_an_address_and_each_replies_to_what_it_took(self):
        address = nw0.advertise(unique("shared"))
        threads = [answering(address, lambda message: message * 2, 50) for _ in range(4)]
        replies = {}

        def ask(start):
            for number in range(start, start + 50):
                replies[number] = nw0.send_message_to(address, number, PATIENCE)

        askers = [threading.Thread(target=ask, args=(start,)) for start in range(0, 200, 50)]
        for thread in askers:
            thread.start()
        for thread in askers + threads:
            thread.join()
        self.assertEqual(replies, {number: number * 2 for number in range(200)})

    def test_the_interpreter_is_free_while_a_thread_waits(self):
        address = nw0.advertise(unique("waiting"))
        stop = threading.Event()
        waits = [
            lambda: nw0.wait_for_message_from(address, PATIENCE, autoreply=True),
            lambda: nw0.discover(unique("nobody"), 0.9),
        ]
        threads = [threading.Thread(target=wait) for wait in waits]
        for thread in threads:
            thread.start()
        # Were it held, nothing would run here until they are done.
        counted = 0
        while counted < 100_000:
            counted += 1
        stop.set()
        nw0.send_message_to(address, counted, PATIENCE)
        for thread in threads:
            thread.join()

    def test_each_thread_hears_everything(self):
        address = nw0.advertise(unique("news"))
        heard, ready = [], threading.Barrier(4)

        def listen():
            nw0.wait_for_news_from(address, wait_for_s=0)
            ready.wait(PATIENCE)
            heard.append([nw0.wait_for_news_from(address, wait_for_s=PATIENCE)[1] for _ in range(10)])

        threads = [threading.Thread(target=listen) for _ in range(3)]
        for thread in threads:
            thread.start()
        ready.wait(PATIENCE)
        for number in range(10):
            nw0.send_news_to(address, "n", number)
        for thread in threads:
            thread.join()
        self.assertEqual(heard, [list(range(10))] * 3)


@unittest.skipUnless(hasattr(os, "fork"), "this system does not fork")
class Forks(unittest.TestCase):
    FORKING = """
        import os
        address = nw0.advertise(sys.argv[1])
        nw0.wait_for_news_from(address, wait_for_s=0)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            own = nw0.advertise("child of " + sys.argv[1])
            assert own != address
            assert nw0.discover(sys.argv[1], 10) == address
            reply = nw0.send_message_to(address, "from the child", 10)
            os.write(write, reply.encode())
            os._exit(0)
        say(nw0.wait_for_message_from(address))
        nw0.send_reply_to(address, "from the parent")
        say(os.read(read, 100).decode())
        say(os.waitpid(child, 0)[1])
        nw0.send_news_to(address, "still", "here")
        say(nw0.wait_for_news_from(address, wait_for_s=10))
    """

    def test_a_child_has_a_node_of_its_own_and_the_parent_keeps_its(self):
        with Program(self.FORKING, unique("parent")) as program:
            self.assertEqual(program.line(), "from the child")
            self.assertEqual(program.line(), "from the parent")
            self.assertEqual(program.line(), "0")
            self.assertEqual(program.line(), "('still', 'here')")
            program.finish()

    def test_processes_of_multiprocessing(self):
        source = """
            import multiprocessing

            def work(address, number):
                return nw0.send_message_to(address, number, 30)

            def serve(address):
                import threading
                def run():
                    for _ in range(4):
                        message = nw0.wait_for_message_from(address)
                        nw0.send_reply_to(address, message * message)
                thread = threading.Thread(target=run)
                thread.start()
                return thread

            address = nw0.advertise(sys.argv[1])
            with multiprocessing.get_context("fork").Pool(2) as pool:
                thread = serve(address)
                say(sorted(pool.starmap(work, [(address, number) for number in range(4)])))
                thread.join()
                pool.close()
                pool.join()
        """
        with Program(source, unique("pool")) as program:
            self.assertEqual(program.line(), "[0, 1, 4, 9]")
            program.finish()


    def test_a_wait_of_asyncio_that_a_child_has_inherited(self):
        source = """
            import os
            from meshzero import _meshzero
            address = nw0.advertise(sys.argv[1])
            new, begun = (_meshzero.next_request_async(address, None, False) for _ in range(2))
            begun.start(lambda: None)
            child = os.fork()
            if child == 0:
                for use in (lambda: new.start(lambda: None), begun.take):
                    try:
                        use()
                        os._exit(1)
                    except RuntimeError as error:
                        assert "belongs to the process" in str(error), error
                new.cancel()
                begun.cancel()
                del new, begun
                os._exit(0)
            say(os.waitpid(child, 0)[1])
            new.cancel()
            begun.cancel()
        """
        with Program(source, unique("inherited")) as program:
            self.assertEqual(program.line(), "0")
            program.finish()

    def test_a_child_writes_to_the_log_that_another_thread_writes_to(self):
        source = """
            import os, tempfile
            from meshzero import _meshzero
            with tempfile.TemporaryDirectory() as folder:
                _meshzero.log_to(os.path.join(folder, "log"))
                nw0.advertise(sys.argv[1])
                news = nw0.listen("127.0.0.1:1")
                for number in range(20):
                    child = os.fork()
                    if child == 0:
                        nw0.discover("nobody", 0)
                        os._exit(0)
                    assert os.waitpid(child, 0)[1] == 0
                news.close()
            say("done")
        """
        with Program(source, unique("log")) as program:
            self.assertEqual(program.line(), "done")
            program.finish()


class LoadedAgain(unittest.TestCase):
    """`importlib.reload`, and an import after the modules have been thrown away, as tests and notebooks do."""

    SOURCE = """
        import importlib, os, threading
        address = nw0.advertise(sys.argv[1])
        first, of_first, forever = nw0, nw0.CannotTravel, nw0.FOREVER
        try:
            nw0.send_message_to(address, {1})
        except nw0.CannotTravel:
            say("raised")
        %s
        for error in (of_first, nw0.CannotTravel):
            try:
                nw0.send_message_to(address, {1})
            except error:
                say("raised")
        say(nw0.discover(sys.argv[1], forever) == address)
        from meshzero import aio
        import asyncio
        say(asyncio.run(aio.discover(sys.argv[1])) == address)
        # What the package had of this thread is not forgotten.
        sender = threading.Thread(target=lambda: say(nw0.send_message_to(address, "hello")))
        sender.start()
        say(first.wait_for_message_from(address))
        nw0.send_reply_to(address, "and to you")
        sender.join()
        try:
            next(nw0.listen(address, wait_for_s=0.01))
        except StopIteration:
            say("listened")
        child = os.fork()
        if child == 0:
            os._exit(0 if nw0.discover(sys.argv[1], 10) == address else 1)
        say(os.waitpid(child, 0)[1])
        with nw0.serve(Greeter(), "served " + sys.argv[1]) as service:
            say(nw0.find(service.name).greet(name="Ada"))
    """

    def load_again(self, *lines):
        greeter = "class Greeter:\n    def greet(self, name):\n        return 'Hello, ' + name\n"
        source = textwrap.dedent(self.SOURCE) % "\n".join(lines)
        with Program(greeter + source, unique("again")) as program:
            self.assertEqual([program.line() for _ in range(6)], ["raised"] * 3 + ["True"] * 2 + ["hello"])
            rest = [program.line() for _ in range(4)]
            self.assertEqual(rest, ["and to you", "listened", "0", "Hello, Ada"])
            program.finish()

    def test_reloaded(self):
        self.load_again("nw0 = importlib.reload(nw0)", "nw0 = importlib.reload(nw0)")

    def test_every_module_reloaded(self):
        modules = "[module for name, module in list(sys.modules.items()) if name.startswith('meshzero._') and name != 'meshzero._meshzero']"
        self.load_again("for module in %s: importlib.reload(module)" % modules, "nw0 = importlib.reload(nw0)")

    def test_thrown_away_and_imported(self):
        throw_away = "for name in [name for name in sys.modules if name.partition('.')[0] == 'meshzero']: del sys.modules[name]"
        self.load_again(throw_away, "import meshzero as nw0", "assert nw0 is not first")


class Ends(unittest.TestCase):
    def test_a_program_that_ends_says_goodbye(self):
        name = unique("leaving")
        with Program("say(nw0.advertise(sys.argv[1])); sys.stdin.readline()", name) as program:
            address = program.line()
            self.assertEqual(nw0.discover(name, PATIENCE), address)
            program.tell()
            program.finish()
        # It is not that the address is found dead: the name is gone.
        while nw0.discover(name, 0) is not None:
            time.sleep(0.001)
        self.assertNotIn(name, dict(nw0.discover_all(1) or []))

    def test_a_reply_that_was_just_sent_leaves_before_the_end(self):
        source = """
            address = nw0.advertise(sys.argv[1])
            say(address)
            nw0.send_reply_to(address, nw0.wait_for_message_from(address) * 2)
        """
        with Program(source, unique("last word")) as program:
            self.assertEqual(nw0.send_message_to(program.line(), 21, PATIENCE), 42)
            program.finish()

    def test_threads_that_still_wait_do_not_complain(self):
        source = """
            import threading
            address = nw0.advertise(sys.argv[1])
            started = threading.Barrier(3)
            def wait(verb):
                started.wait()
                verb(address)
            for verb in (nw0.wait_for_message_from, nw0.wait_for_news_from):
                threading.Thread(target=wait, args=(verb,), daemon=True).start()
            started.wait()
        """
        with Program(source, unique("daemon")) as program:
            program.finish()
            self.assertEqual(program.errors(), "")

    def test_a_program_that_closed_can_join_again(self):
        source = """
            nw0.advertise(sys.argv[1])
            nw0.close()
            say(nw0.discover(sys.argv[1], 0))
            say(nw0.advertise(sys.argv[1]) is not None)
        """
        with Program(source, unique("again")) as program:
            self.assertEqual([program.line(), program.line()], ["None", "True"])
            program.finish()
