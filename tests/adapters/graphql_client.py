"""A client of the GraphQL door: ``ask`` answers the data, or raises with the problem that was told."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

URL = "/health/graphql/"
JSON = "application/json"

INGEST = """mutation ($input: HealthKitImportInput!) {
  healthkitIngest(input: $input) { id status format lane records { received inserted } }
}"""


class Refused(Exception):
    def __init__(self, code: str, answer: Any) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def with_device(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def post(client: Client, query: str, headers: Any = None, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables})
    return client.post(URL, data=body, content_type=JSON, headers=headers)


def read(answer: Any) -> Any:
    """The data of an answer without errors. Raises Refused with the code of the first problem."""
    told = answer.json()
    assert answer.status_code == 200, told
    if "errors" in told:
        raise Refused(told["errors"][0].get("extensions", {}).get("code", told["errors"][0]["message"]), answer)
    return told["data"]


def ask(client: Client, query: str, **variables: Any) -> Any:
    return read(post(client, query, **variables))


def ingest(app: Client, /, **given: Any) -> Any:
    return ask(app, INGEST, input=given)["healthkitIngest"]


def post_file(app: Client, content: bytes, /, **given: Any) -> Any:
    """As the GraphQL multipart request specification has it."""
    operations = json.dumps({"query": INGEST, "variables": {"input": {**given, "file": None}}})
    form = {
        "operations": operations,
        "map": json.dumps({"0": ["variables.input.file"]}),
        "0": SimpleUploadedFile("Anna's export", content),
    }
    return app.post(URL, data=form)
