"""NetworkZero answers at one address and publishes at another. `slow` is answered when standard input says so."""
import sys, threading
import networkzero as nw0

answers, news = sys.argv[1:3]
named = sys.argv[3:]
if named:
    answers = nw0.advertise(named[0], answers)
    news = nw0.advertise(named[1], news)
go_on = threading.Event()


def publish():
    number = 0
    while True:
        nw0.send_news_to(news, "tick/%d" % (number % 2), {"number": number})
        number += 1
        go_on.wait(0.02)


threading.Thread(target=publish, daemon=True).start()


def answer():
    while True:
        message = nw0.wait_for_message_from(answers)
        print("asked", message)
        if message == "slow":
            go_on.wait()
        nw0.send_reply_to(answers, {"hello": message})


threading.Thread(target=answer, daemon=True).start()
print("ready")
sys.stdin.read()
