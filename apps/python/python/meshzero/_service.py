"""Objects as actor services: one message at a time, each handled by the method of its name."""

from __future__ import annotations

import contextlib
import threading

from . import _hints, _meshzero
from ._config import seconds
from ._errors import Closed, NetworkZeroError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    C = TypeVar("C", bound=type)
    Method = Callable[..., Any]

#: Messages without a name.
_PLAIN = "Value"

#: The most characters of an exception that its caller is told.
_LONGEST = 10_000

#: Where a class keeps the name of its services.
_NAME = "__meshzero_name__"


def service(name: str) -> Callable[[C], C]:
    """Says under which name the objects of a class are served, by `meshzero.serve`::

        @meshzero.service("robot/arm")
        class Arm:
            def __init__(self):
                self.at = 0.0

            def move(self, by):
                self.at += by
                return {"at": self.at}

        with meshzero.serve(Arm()) as arm:
            arm.wait()

    Every public method is a message of its name. Its keyword arguments are the fields of the message, and what it returns
    is the reply. A class with a `__call__` takes messages without a name as well, which are called `Value`.
    """

    def named(cls: C) -> C:
        setattr(cls, _NAME, name)
        return cls

    return named


def serve(actor: object, name: str | None = None, address: str | int | None = None) -> Service:
    """Advertises an object, and handles the messages for it on a thread of its own, one at a time.

    An exception in a method is told to the caller, and the service goes on, also if it is `SystemExit`: no caller can end it.

    A name that this program or another serves already stays with that as well: each object has an address of its own until it is
    closed, and whoever calls by the name reaches one of them. That this program has one already is said in Python's log, because
    a cell of a notebook that runs again serves a second object beside the first.

    :param name: the name of the service; without one, that of the class' decorator
    :param address: (optional) as `meshzero.advertise` takes it
    """
    name = name or getattr(actor, _NAME, None)
    if name is None:
        raise TypeError("a service needs a name: decorate its class with @meshzero.service(name), or pass one")
    return Service(actor, name, address)


class Service:
    """An object that is served, until it is closed. A context manager. Made by `meshzero.serve`."""

    def __init__(self, actor: object, name: str, address: str | int | None = None) -> None:
        self._actor = actor
        self.name = name
        self._methods = _methods(actor)
        self._closing = threading.Lock()
        self._is_closing = False
        self._is_closed = False
        at = None if address is None else str(address)
        _tell_of_others(name)
        #: Where it is: "ip:port".
        self.address = _meshzero.advertise_instance(name, at, sorted(self._methods))
        self._thread = threading.Thread(target=self._run, name="meshzero " + name, daemon=True)
        self._thread.start()

    def publish(self, topic: str, data: object = None) -> None:
        """Sends news to everybody who listens to the service."""
        _meshzero.publish(self.address, topic, data)

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the service has been closed; Ctrl-C ends the wait."""
        wait = seconds(timeout, "timeout")
        self._thread.join(None if wait is None else min(wait, threading.TIMEOUT_MAX))

    def close(self) -> None:
        """Takes this instance of the name back; messages that wait are refused.

        Called by a method of the object, it does so once that message has been answered.
        """
        if self._thread is threading.current_thread():
            self._is_closing = True
        else:
            self._close()
            self._thread.join()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<service %s at %s>" % (self.name, self.address)

    def _close(self) -> None:
        """Takes the address back, if that has not happened before: by now another service may have it."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closing = self._is_closed = True
        _meshzero.unadvertise_at(self.address)

    def _run(self) -> None:
        request = None
        try:
            while not self._is_closing:
                request = _meshzero.next_request(self.address, None, True)
                if request is not None:
                    self._handle(request)
            self._close()
        except Closed:
            # By whomever: the name may have been taken back.
            with self._closing:
                self._is_closed = True
        except BaseException:
            # Whatever it is, nobody would answer here any more.
            self._close()
            _complain("the service %r at %s has ended, and is not advertised any more" % (self.name, self.address))
            if request is not None:
                # Also where the traceback is kept, and the request with it. One that was answered stays answered.
                with contextlib.suppress(NetworkZeroError):
                    request.fail("the service has ended")

    def _handle(self, request: _meshzero.Request) -> None:
        method = self._methods.get(request.name)
        if method is None:
            request.not_handled(sorted(self._methods))
            return
        try:
            try:
                arguments, fields = _arguments(method, request)
            except TypeError as problem:
                request.misunderstand(_text_of(problem))
                return
            reply = method(*arguments, **fields)
        except BaseException as error:
            # Also what would end a thread or a program: this one serves others, and no caller may end it.
            request.fail(_told(error))
            return
        try:
            request.reply(reply)
        except BaseException:
            # The caller has been told, and this thread goes on.
            _complain("%s.%s returned what cannot travel" % (self.name, request.name))


def _tell_of_others(name: str) -> None:
    """Says in the log that this program offers the name already. What a handler of the log raises leaves nothing behind."""
    others = _meshzero.advertised(name)
    if others:
        _hints.warn(
            "served " + name,
            "this program offers %r already, at %s: callers reach either. Close the first, or serve the second under another name"
            % (name, ", ".join(others)),
        )


def _methods(actor: object) -> dict[str, Method]:
    """The public methods of an object by the names of their messages."""
    found = {}
    for name in dir(type(actor)):
        if not name.startswith("_") and callable(getattr(type(actor), name)):
            found[name] = getattr(actor, name)
    if callable(actor):
        found[_PLAIN] = actor
    return found


def _arguments(method: Method, request: _meshzero.Request) -> tuple[tuple[object, ...], dict[str, object]]:
    """A message as the arguments of its method. Whether it fits is found out before anything runs."""
    import inspect

    message = request.message
    arguments: tuple[object, ...] = ()
    fields: dict[str, object] = {}
    if request.name != _PLAIN and isinstance(message, dict) and all(isinstance(key, str) for key in message):
        fields = message
    elif request.name == _PLAIN or message is not None:
        arguments = (message,)
    try:
        signature = inspect.signature(method)
    except Exception:
        # Some that are written in C have none, and one of the program's own may be wrong; the method says what does not fit.
        return arguments, fields
    signature.bind(*arguments, **fields)
    return arguments, fields


def _told(error: BaseException) -> str:
    """An exception in words, whatever its class does."""
    try:
        return "%s: %s" % (_name_of(error), _text_of(error))
    except BaseException:
        return "an exception that cannot be put into words"


def _name_of(error: BaseException) -> str:
    """The name of an exception's class, whatever its own class says."""
    return str(type.__dict__["__name__"].__get__(type(error)))


def _text_of(error: BaseException) -> str:
    """The text of an exception, made fit to travel, whatever its own `__str__` does."""
    try:
        # The methods of plain text, because it may be of a class of the program's own.
        text = str.__getitem__(str(error), slice(_LONGEST))
    except BaseException as problem:
        return "(its text is not known: __str__ raised %s)" % _name_of(problem)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _complain(what: str) -> None:
    """Says on standard error what went wrong, with the traceback."""
    import sys
    import traceback

    try:
        print("meshzero: %s\n%s" % (what, traceback.format_exc()), end="", file=sys.stderr, flush=True)
    except BaseException:
        # There may be no standard error, and the traceback needs the exception's own text.
        pass
