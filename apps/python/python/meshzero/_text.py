"""NetworkZero's text functions."""

from __future__ import annotations


def action_and_params(commandline: str) -> tuple[str, list[str]]:
    """Splits a typed line into its first word and the rest, as a shell does.

    >>> action_and_params("GO 'far away' 3")
    ('GO', ['far away', '3'])
    """
    import shlex

    components = shlex.split(commandline)
    return components[0], components[1:]


def bytes_to_string(data: bytes) -> str:
    """Encodes bytes as text (base64), for formats that hold only text. Messages and news can contain bytes as they are.

    >>> bytes_to_string(b"hello")
    'aGVsbG8='
    """
    import binascii

    return binascii.b2a_base64(data, newline=False).decode("ascii")


def string_to_bytes(data: str) -> bytes:
    """Decodes the text that `bytes_to_string` returns.

    >>> string_to_bytes("aGVsbG8=")
    b'hello'
    """
    import binascii

    return binascii.a2b_base64(data.encode("ascii"))
