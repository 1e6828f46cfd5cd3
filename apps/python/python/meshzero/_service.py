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

#: The name of messages without a name.
_PLAIN = "Value"

#: The most characters of an exception that are returned to the caller.
_LONGEST = 10_000

#: The attribute in which a class keeps the name of its services.
_NAME = "__meshzero_name__"


def service(name: str) -> Callable[[C], C]:
    """Sets the name under which `meshzero.serve` serves the objects of a class::

        @meshzero.service("robot/arm")
        class Arm:
            def __init__(self):
                self.at = 0.0

            def move(self, by):
                self.at += by
                return {"at": self.at}

        with meshzero.serve(Arm()) as arm:
            arm.wait()

    Every public method handles the message of its name. Its keyword arguments are the fields of the message, and its return value
    is the reply. A class with a `__call__` accepts messages without a name as well, which are called `Value`.
    """

    def named(cls: C) -> C:
        setattr(cls, _NAME, name)
        return cls

    return named


def serve(actor: object, name: str | None = None, address: str | int | None = None) -> Service:
    """Advertises an object, and handles its messages on a thread of its own, one at a time.

    An exception in a method is returned to the caller, and the service continues, even after `SystemExit`: no caller can end it.

    If this program or another serves the name already, both do: each object has an address of its own until it is closed, and
    callers by the name reach one of them. If it is this program, a warning is logged, because a cell of a notebook that runs again
    serves a second object beside the first.

    :param name: the name of the service; by default that of the class's decorator
    :param address: (optional) as `meshzero.advertise` takes it
    """
    name = name or getattr(actor, _NAME, None)
    if name is None:
        raise TypeError("a service needs a name: decorate its class with @meshzero.service(name), or pass one")
    return Service(actor, name, address)


class Service:
    """An object that is served until this is closed; a context manager. Returned by `meshzero.serve`."""

    def __init__(self, actor: object, name: str, address: str | int | None = None) -> None:
        self._actor = actor
        self.name = name
        self._methods = _methods(actor)
        self._closing = threading.Lock()
        self._is_closing = False
        self._is_closed = False
        at = None if address is None else str(address)
        _tell_of_others(name)
        #: The address of the service: "ip:port".
        self.address = _meshzero.advertise_instance(name, at, sorted(self._methods))
        self._thread = threading.Thread(target=self._run, name="meshzero " + name, daemon=True)
        self._thread.start()

    def publish(self, topic: str, data: object = None) -> None:
        """Publishes news to all subscribers of the service."""
        _meshzero.publish(self.address, topic, data)

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the service has been closed; Ctrl-C ends the wait."""
        wait = seconds(timeout, "timeout")
        self._thread.join(None if wait is None else min(wait, threading.TIMEOUT_MAX))

    def close(self) -> None:
        """Closes this instance of the service, and refuses its queued messages.

        If a method of the object calls this, the service closes after that message has been answered.
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
        """Closes the address, once: after that another service may have it."""
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
            # The name may have been unadvertised elsewhere.
            with self._closing:
                self._is_closed = True
        except BaseException:
            # Whatever it is, this thread would not answer any more.
            self._close()
            _complain("the service %r at %s has ended, and is not advertised any more" % (self.name, self.address))
            if request is not None:
                # Even if the traceback, and the request with it, is kept. One that was answered stays answered.
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
                request.undecodable(_text_of(problem))
                return
            reply = method(*arguments, **fields)
        except BaseException as error:
            # Includes what would end a thread or a program: no caller may end this service.
            request.fail(_told(error))
            return
        try:
            request.reply(reply)
        except BaseException:
            # The caller got an error, and this thread continues.
            _complain("%s.%s returned an object that cannot be sent" % (self.name, request.name))


def _tell_of_others(name: str) -> None:
    """Logs a warning if this program offers the name already. Called first: an exception of a log handler leaves nothing behind."""
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
    """Converts a message to the arguments of its method, and checks that they fit before anything runs."""
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
        # Some functions in C have no signature, and one of the program's own may be wrong; the method raises if the arguments do not fit.
        return arguments, fields
    signature.bind(*arguments, **fields)
    return arguments, fields


def _told(error: BaseException) -> str:
    """The text of an exception for the caller, whatever its class does."""
    try:
        return "%s: %s" % (_name_of(error), _text_of(error))
    except BaseException:
        return "an exception without a readable text"


def _name_of(error: BaseException) -> str:
    """The name of an exception's class, whatever its own class says."""
    return str(type.__dict__["__name__"].__get__(type(error)))


def _text_of(error: BaseException) -> str:
    """The text of an exception, made fit to be sent, whatever its own `__str__` does."""
    try:
        # The methods of plain text, because it may be of a class of the program's own.
        text = str.__getitem__(str(error), slice(_LONGEST))
    except BaseException as problem:
        return "(its text is not known: __str__ raised %s)" % _name_of(problem)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _complain(what: str) -> None:
    """Prints a problem to standard error, with the traceback."""
    import sys
    import traceback

    try:
        print("meshzero: %s\n%s" % (what, traceback.format_exc()), end="", file=sys.stderr, flush=True)
    except BaseException:
        # There may be no standard error, and the traceback needs the exception's own text.
        pass
