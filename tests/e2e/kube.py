"""A small client of the Kubernetes API: JSON over HTTPS, the standard library only.

One Client belongs to one thread: it keeps one connection open and opens it
anew when the server has closed it.
"""

import http.client
import json
import ssl


class ApiError(Exception):
    """An answer other than 2xx; code and reason are those of its Status."""

    def __init__(self, code, reason, message):
        super().__init__("%d %s: %s" % (code, reason, message))
        self.code = code
        self.reason = reason


class Client:
    def __init__(self, port, ca, token, timeout=15):
        self.port = port
        self.token = token
        self.timeout = timeout
        self.ca = ca
        self.conn = None
        self._tls = None

    @property
    def tls(self):
        """Made at the first use: the CA is younger than some clients."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self.ca)
        return self._tls

    def _open(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=self.timeout,
                                           context=self.tls)

    def _send(self, conn, method, path, body, ctype):
        headers = {"Authorization": "Bearer " + self.token, "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["Content-Type"] = ctype
        conn.request(method, path, data, headers)
        return conn.getresponse()

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None

    def call(self, method, path, body=None, ctype="application/json"):
        """The decoded answer. ApiError for an answer that says no, OSError for none."""
        for attempt in (0, 1):
            fresh = self.conn is None
            try:
                if fresh:
                    self.conn = self._open()
                resp = self._send(self.conn, method, path, body, ctype)
                raw = resp.read()
                break
            except (OSError, http.client.HTTPException) as e:
                self.close()
                # A kept connection may have been closed by the server meanwhile.
                if fresh or attempt or method == "POST":
                    raise OSError("%s %s: %r" % (method, path, e)) from e
        try:
            obj = json.loads(raw) if raw else {}
        except ValueError:
            obj = {"message": raw.decode("utf-8", "replace").strip()}
        if resp.status >= 300:
            raise ApiError(resp.status, obj.get("reason", ""), obj.get("message", ""))
        return obj

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)

    def put(self, path, body):
        return self.call("PUT", path, body)

    def patch(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path, policy=None, grace=None, uid=None):
        opts = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if policy:
            opts["propagationPolicy"] = policy
        if grace is not None:
            opts["gracePeriodSeconds"] = grace
        if uid:
            opts["preconditions"] = {"uid": uid}
        return self.call("DELETE", path, opts)

    def gone(self, path):
        try:
            self.get(path)
            return False
        except ApiError as e:
            if e.code == 404:
                return True
            raise

    def watch(self, path):
        """Yields the watch events of path until the server or close() ends them.

        On a connection of its own; a read that stays silent for the client's
        timeout raises OSError.
        """
        conn = self._open()
        try:
            resp = self._send(conn, "GET", path, None, None)
            if resp.status != 200:
                raise ApiError(resp.status, "", resp.read(500).decode("utf-8", "replace"))
            for line in resp:
                yield json.loads(line)
        except http.client.HTTPException as e:
            raise OSError(repr(e)) from e
        finally:
            conn.close()
