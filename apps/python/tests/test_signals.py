"""Ctrl-C loses nothing: what has arrived by then comes first the next time."""

import unittest

import meshzero as nw0

from .support import PATIENCE, Program, unique, tearDownModule

#: Every item comes after a Ctrl-C that the main thread, which waits, has not looked for yet. Where the program does not wait
#: Ctrl-C does nothing: there it is Python that loses what the program has.
SOURCE = """
    import signal, threading, time
    is_waiting = False

    def handle(*_):
        if is_waiting:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    address = nw0.advertise(sys.argv[1])
    {prepare}
    heard, interrupts, taken = [], 0, threading.Semaphore(0)

    def send():
        for number in range(50):
            while not is_waiting:
                time.sleep(0.0001)
            time.sleep(0.001)
            signal.raise_signal(signal.SIGINT)
            {send}
            taken.acquire()

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    while len(heard) < 50:
        try:
            is_waiting = True
            item = {wait}
            is_waiting = False
        except KeyboardInterrupt:
            is_waiting = False
            interrupts += 1
            continue
        heard.append(item)
        taken.release()
    sending.join()
    say(heard == list(range(50)), interrupts > 0)
"""


class Interrupted(unittest.TestCase):
    def nothing_is_lost(self, send, wait, prepare=""):
        with Program(SOURCE.format(send=send, wait=wait, prepare=prepare), unique("interrupted")) as program:
            self.assertEqual(program.line(), "True True")
            program.finish()

    def test_an_item_of_an_iteration(self):
        self.nothing_is_lost(
            "nw0.send_news_to(address, 'n', number)", "next(news)[1]", "news = nw0.listen(address, wait_for_s=10)"
        )

    def test_an_item_that_is_waited_for(self):
        self.nothing_is_lost(
            "nw0.send_news_to(address, 'n', number)",
            "nw0.wait_for_news_from(address, wait_for_s=10)[1]",
            "nw0.wait_for_news_from(address, wait_for_s=0)",
        )

    def test_a_message(self):
        self.nothing_is_lost(
            "threading.Thread(target=nw0.send_message_to, args=(address, number, 30)).start()",
            "nw0.wait_for_message_from(address, 10, autoreply=True)",
        )
