"""A real S3-compatible server on loopback, in this process, that counts what it is asked."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyarrow import fs

_NUMBERS = itertools.count()


class Requests:
    """A WSGI layer: LIST, GET, HEAD, PUT, DELETE so far, by name."""

    def __init__(self, app: Any) -> None:
        self._app, self.count, self._lock = app, Counter[str](), threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        method = environ["REQUEST_METHOD"]
        listing = method == "GET" and "list-type" in environ.get("QUERY_STRING", "")
        with self._lock:
            self.count["LIST" if listing else method] += 1
        return self._app(environ, start)


@contextmanager
def object_store() -> Iterator[tuple[str, Requests]]:
    """Its address, `s3://bucket-0/studies?…`, and the requests; the caller sets credentials.

    All servers of a process share what they keep, so each has a bucket of its own.
    """
    bucket = f"bucket-{next(_NUMBERS)}"
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    requests = Requests(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, requests, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    where = f"endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=us-east-1"
    try:
        files, _ = fs.FileSystem.from_uri(f"s3://{bucket}?{where}&allow_bucket_creation=true")
        files.create_dir(bucket)
        requests.count.clear()
        yield f"s3://{bucket}/studies?{where}", requests
    finally:
        server.shutdown()
        thread.join()
