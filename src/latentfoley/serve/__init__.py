"""The HTTP service: a door like the command line. It parses, builds the request and calls.

    request ─► guard.py ─► routes.py, dialects.py ─► service.py ─► store.py (SQLite, files)
                                                        │ JSON lines
                                                     worker.py ─► Model.run

The server computes nothing. `service.py` keeps the queue, `store.py` makes it survive a crash, and
one process per device (`worker.py`) holds the model. See docs/serve.md.
"""
