"""The names of places: which are of this machine, and which hold what no name should.

It does not know what is there (`places.py`).
"""

from urllib.parse import urlsplit

from latentfoley.errors import InputError, printable


def is_remote(name: str) -> bool:
    """Return whether a name is one of fsspec's, with a protocol before it."""
    return "://" in name


def require_no_credentials(name: str) -> None:
    """Refuse a name with a user, a password or a query in it.

    Raises:
        InputError: says where credentials belong, without repeating them.
    """
    if not is_remote(name):
        return
    parts = urlsplit(name)
    if "@" in parts.netloc or parts.query:
        raise InputError(
            f"the name of a place under {printable(parts.scheme)}:// holds credentials or a query; "
            "names are kept in manifests: put credentials where the store's own tools look for "
            "them, in the environment or its configuration file"
        )
