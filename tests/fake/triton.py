"""Triton's KServe v2 API for one embedding model; see fake.py for how it is started and told to fail.
Modes: batch (shape [-1,1], at most `most` texts), plain (shape [-1], no configuration), one (shape
[1]), kserve (no configuration, answers binary requests with JSON)."""

import json
import re
import struct

from fake import Fake, Refuse, embedding, is_int, is_number, serve

LENGTH = "Inference-Header-Content-Length"


class Triton(Fake):
    model, input, output = "embedder", "text_input", "embedding"
    dim, most = 384, 32
    shaped_dim = True
    extra = None  # {"name": [datatype, value]}: inputs that must come
    ready = True
    nested = False
    input_type, output_type = "BYTES", "FP32"

    def error(self, status, text):
        return Refuse(status, {"error": text})

    def unauthorized(self, _r):
        return self.error(401, "unauthorized")

    def too_large(self):
        return self.error(400, "payload too large")

    def route(self, r):
        if r.path == "/v2/health/ready":
            return self.ready_answer()
        m = re.fullmatch(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/[a-z]+)?", r.path)
        if not m:
            raise self.error(404, "Not Found")
        if m.group(1) != self.model or m.group(2) not in (None, "3"):
            raise self.error(404 if r.method == "GET" else 400,
                             f"Request for unknown model: '{m.group(1)}' is not found")
        what = (r.method, m.group(3) or "")
        if what == ("GET", ""):
            return 200, self.metadata()
        if what == ("GET", "/ready"):
            return self.ready_answer()
        if what == ("GET", "/config") and self.args.mode in ("batch", "one"):
            return 200, {"name": self.model,
                         "max_batch_size": self.most if self.args.mode == "batch" else 0}
        if what == ("POST", "/infer"):
            return self.infer(r)
        raise self.error(404, "Not Found")

    def ready_answer(self):
        if not self.ready:
            raise Refuse(400, "")
        return 200, ""

    def shape(self):
        return {"batch": [-1, 1], "kserve": [-1, 1], "plain": [-1], "one": [1]}[self.args.mode]

    def metadata(self):
        inputs = [{"name": self.input, "datatype": self.input_type, "shape": self.shape()},
                  {"name": "image", "datatype": "BYTES", "shape": self.shape()}]
        for name, (datatype, _) in (self.extra or {}).items():
            inputs.append({"name": name, "datatype": datatype, "shape": self.shape()})
        return {"name": self.model, "versions": ["3"], "platform": "python", "inputs": inputs,
                "outputs": [{"name": "response", "datatype": "BYTES", "shape": [-1, 1]},
                            {"name": self.output, "datatype": self.output_type,
                             "shape": [-1, self.dim if self.shaped_dim else -1]}]}

    # --- inference ---

    def bad(self, text):
        self.complain(text)
        return self.error(400, text)

    def request(self, r):
        """The JSON and the bytes behind it."""
        length = r.headers.get(LENGTH)
        if length is None:
            return r.json(), b""
        if r.headers.get("Content-Type") != "application/octet-stream":
            raise self.bad("binary request that is not application/octet-stream")
        if not length.isdigit() or int(length) > len(r.body):
            raise self.bad(f"{LENGTH} {length} of {len(r.body)}")
        return json.loads(r.body[:int(length)]), r.body[int(length):]

    def texts(self, raw):
        out = []
        while raw:
            n = struct.unpack("<I", raw[:4])[0] if len(raw) >= 4 else len(raw)
            if len(raw) < 4 + n:
                raise self.bad("BYTES tensor is cut")
            out.append(raw[4:4 + n].decode())
            raw = raw[4 + n:]
        return out

    def tensor(self, i, raw):
        """An input's elements, and the bytes that are left."""
        for k in i:
            if k not in ("name", "shape", "datatype", "data", "parameters"):
                self.complain(f"input with {k}")
        if "data" in i:
            return i["data"], raw
        size = i.get("parameters", {}).get("binary_data_size")
        if not is_int(size) or size > len(raw):
            raise self.bad(f"binary_data_size {size}, but {len(raw)} bytes are there")
        return self.texts(raw[:size]), raw[size:]

    def check_input(self, i, data):
        known = {self.input: "BYTES", "image": "BYTES"}
        known.update({k: v[0] for k, v in (self.extra or {}).items()})
        if known.get(i.get("name")) != i.get("datatype"):
            raise self.bad(f"unexpected inference input {i.get('name')} of {i.get('datatype')}")
        shape, want = i.get("shape"), [len(data)] + [1] * (len(self.shape()) - 1)
        if shape != want:
            raise self.bad(f"unexpected shape for input '{i['name']}', expected {want}, got {shape}")
        kinds = {"BYTES": lambda v: isinstance(v, str), "BOOL": lambda v: isinstance(v, bool)}
        if not all(kinds.get(i["datatype"], is_number)(v) for v in data):
            raise self.bad(f"input '{i['name']}' holds something else than {i['datatype']}")

    def infer(self, r):
        q, raw = self.request(r)
        for k in q:
            if k not in ("id", "inputs", "outputs", "parameters"):
                self.complain(f"unknown field {k}")
        got = {}
        for i in q.get("inputs", []):
            data, raw = self.tensor(i, raw)
            self.check_input(i, data)
            got[i["name"]] = data
        if raw:
            raise self.bad(f"{len(raw)} bytes behind the last tensor")
        if self.input not in got:
            raise self.bad(f"expected input '{self.input}'")
        texts = got[self.input]
        for name, (_, value) in (self.extra or {}).items():
            if got.get(name) != [value] * len(texts):
                raise self.bad(f"input '{name}' is {got.get(name)}")
        outputs = q.get("outputs")
        if not isinstance(outputs, list) or [o.get("name") for o in outputs] != [self.output]:
            raise self.bad(f"outputs {outputs}")
        if self.args.mode == "batch" and len(texts) > self.most:
            raise self.error(400, f"inference request batch-size must be <= {self.most} for "
                                  f"'{self.model}'")
        if self.args.mode == "one" and len(texts) != 1:
            raise self.bad("one text a request")
        if any("refuse-me" in t for t in texts):
            raise self.error(400, "text is refused")
        binary = outputs[0].get("parameters", {}).get("binary_data", False)
        return 200, self.reply([embedding(t, self.dim) for t in texts],
                               binary and self.args.mode != "kserve")

    def reply(self, vectors, binary):
        flat = [x for v in vectors for x in v]
        out = {"name": self.output, "datatype": "FP32", "shape": [len(vectors), self.dim]}
        answer = {"model_name": self.model, "model_version": "3", "outputs": [out]}
        if not binary:
            out["data"] = vectors if self.nested else flat
            return answer
        raw = struct.pack(f"<{len(flat)}f", *flat)
        # Another tensor before it: its bytes come first.
        answer["outputs"].insert(0, {"name": "response", "datatype": "BYTES", "shape": [1],
                                     "parameters": {"binary_data_size": 7}})
        out["parameters"] = {"binary_data_size": len(raw)}
        head = json.dumps(answer).encode()
        return head + b"\x03\0\0\0abc" + raw

    def answer(self, r):
        status, answer, kind, headers = super().answer(r)
        if isinstance(answer, bytes):
            headers = dict(headers, **{LENGTH: answer.index(b"\x03\0\0\0abc")})
        return status, answer, kind, headers

    def spoil(self, name, answer):
        if isinstance(answer, bytes):
            at = answer.index(b"\x03\0\0\0abc")
            if name == "header":
                return answer, {LENGTH: len(answer) + 1}
            if name == "short":
                return answer[:-4], {LENGTH: at}
            if name == "nan":
                nan = struct.pack("<f", float("nan"))
                return answer[:-4] + nan, {LENGTH: at}
            raise KeyError(name)
        out = next((o for o in answer.get("outputs", []) if o["name"] == self.output), None)
        if out is None or "data" not in out:
            return answer
        if name == "count":
            out["data"] = out["data"][:-self.dim]
            out["shape"][0] -= 1
        elif name == "shape":
            out["shape"] = [1, 7]
        elif name == "dimension":
            out["data"] = [0.5] * (out["shape"][0] * 9)
            out["shape"][1] = 9
        elif name == "zero":
            out["data"] = [0.0] * len(out["data"])
        elif name == "text":
            out["data"] = ["x"] * len(out["data"])
        elif name == "nan":
            out["data"] = [float("nan")] * len(out["data"])
        elif name == "no-output":
            answer["outputs"] = []
        else:
            raise KeyError(name)
        return answer


serve(Triton, ("batch", "plain", "one", "kserve"))
