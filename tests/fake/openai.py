"""POST /v1/embeddings as OpenAI, TEI, Ollama, llama.cpp and vLLM answer it, each with its own limits
and its own shape of an error. See fake.py for how it is started and told to fail."""

import base64
import struct

from fake import Fake, Refuse, embedding, serve

KNOWN = {"model", "input", "encoding_format", "dimensions", "user", "truncate_prompt_tokens"}


class OpenAi(Fake):
    dim = 384
    model = "test-model"
    # What each server takes at most, and whether it knows base64.
    limits = {"openai": 2048, "tei": 32, "ollama": 1 << 20, "llamacpp": 1 << 20, "vllm": 1 << 20}
    max_body = 2 << 20
    knows_base64 = True
    shuffle = False

    def error(self, status, text, kind="invalid_request_error", headers=None):
        mode = self.args.mode
        if mode == "tei":
            body = {"message": text, "code": status, "type": "Validation"}
        elif mode == "llamacpp":
            body = {"error": {"code": status, "message": text, "type": kind}}
        elif mode == "vllm" and kind == "old":
            body = {"object": "error", "message": text, "type": "BadRequestError", "code": status}
        else:
            body = {"error": {"message": text, "type": kind, "param": None, "code": None}}
        return Refuse(status, body, headers=headers)

    def unauthorized(self, r):
        sent = r.headers.get(self.args.token_header or "Authorization") or ""
        return self.error(401, f"Incorrect API key provided: {sent.split(' ')[-1]}.")

    def too_large(self):
        return self.error(413, "length limit exceeded")

    def bad_json(self, why):
        return self.error(400, f"could not parse JSON: {why}")

    def route(self, r):
        if r.method == "GET" and r.path == "/v1/models" and self.args.mode != "tei":
            return 200, {"object": "list", "data": [{"id": self.model, "object": "model"}]}
        if r.path != "/v1/embeddings":
            raise self.error(404, f"no {r.path} here")
        if r.method != "POST":
            raise self.error(405, "Method Not Allowed")
        return self.embeddings(r.json())

    def embeddings(self, q):
        for k in q:
            if k not in KNOWN:
                self.complain(f"unknown field {k}")
                raise self.error(400, f"Unrecognized request argument supplied: {k}")
        texts = q.get("input")
        if not isinstance(texts, list) or not texts or \
                not all(isinstance(t, str) for t in texts):
            self.complain("input is no list of texts")
            raise self.error(400, "'input' must be a list of strings")
        if any(not t for t in texts):
            raise self.error(400, "'input' cannot be an empty string")
        if q.get("model") != self.model:
            raise self.error(404, f"model \"{q.get('model')}\" not found")
        if len(texts) > self.limits[self.args.mode]:
            most = self.limits[self.args.mode]
            raise self.error(422 if self.args.mode == "tei" else 400,
                             f"batch size {len(texts)} > maximum allowed batch size {most}")
        if any("refuse-me" in t for t in texts):
            raise self.error(400, "input contains content that cannot be tokenized")
        form = q.get("encoding_format", "float")
        if form not in ("float", "base64"):
            self.complain(f"encoding_format {form}")
            raise self.error(400, "encoding_format must be float or base64")
        if form == "base64" and self.knows_base64 == "refuses":
            raise self.error(400, "encoding_format base64 is not supported")
        data = [{"object": "embedding", "index": i, "embedding": self.write(t, form)}
                for i, t in enumerate(texts)]
        if self.shuffle:
            data.reverse()
        n = sum(len(t.split()) for t in texts)
        return 200, {"object": "list", "model": self.model, "data": data,
                     "usage": {"prompt_tokens": n, "total_tokens": n}}

    def write(self, text, form):
        v = embedding(text, self.dim)
        if form == "float" or not self.knows_base64:
            return v
        return base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode()

    def spoil(self, name, answer):
        if not isinstance(answer, dict) or "data" not in answer:
            return answer
        data = answer["data"]
        first = data[0]
        if name == "count":
            data.pop()
        elif name == "extra":
            data.append(dict(first, index=len(data)))
        elif name == "index":
            data[-1]["index"] = 0 if len(data) > 1 else 7
        elif name == "no-index":
            for d in data:
                del d["index"]
        elif name == "dimension":
            for d in data:
                d["embedding"] = [0.5] * (self.dim + 1)
        elif name == "uneven":
            data[-1]["embedding"] = [0.5] * (self.dim - 1)
        elif name == "huge-dimension":
            for d in data:
                d["embedding"] = [0.5] * 9000
        elif name == "zero":
            first["embedding"] = [0.0] * self.dim
        elif name == "nan":
            first["embedding"] = [float("nan")] * self.dim  # as Python writes it: no JSON
        elif name == "nan-base64":
            first["embedding"] = base64.b64encode(
                struct.pack("<f", float("nan")) * self.dim).decode()
        elif name == "overflow":
            first["embedding"] = [1e300] * self.dim
        elif name == "text":
            first["embedding"] = ["0.5"] * self.dim
        elif name == "null":
            first["embedding"] = None
        elif name == "no-data":
            del answer["data"]
        else:
            raise KeyError(name)
        return answer

    def dump(self):
        return {"dim": self.dim}


serve(OpenAi, ("openai", "tei", "ollama", "llamacpp", "vllm"))
