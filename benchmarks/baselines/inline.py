"""BEFORE: the view that teams start with. It reads, checks and writes every sample while the phone waits."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.authentication import TokenAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.baselines.models import InlineSample


class GzipJSONParser(BaseParser):
    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return json.loads(gzip.decompress(stream.read()))


class SourceSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=255)
    bundle_id = serializers.CharField(max_length=255, required=False, default="")


class SampleSerializer(serializers.Serializer[Any]):
    type = serializers.CharField(max_length=80)
    uuid = serializers.UUIDField(required=False)
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    value = serializers.FloatField(required=False, allow_null=True, default=None)
    unit = serializers.CharField(max_length=32, required=False, allow_blank=True, default="")
    category = serializers.IntegerField(required=False, allow_null=True, default=None)
    source = SourceSerializer(required=False)  # type: ignore[assignment]  # shadows an attribute of fields
    metadata = serializers.JSONField(required=False, allow_null=True, default=None)


class InlineView(APIView):
    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)
    parser_classes = (GzipJSONParser,)

    def post(self, request: Request) -> Response:
        body: Any = request.data
        user: Any = request.user
        samples = SampleSerializer(data=body["samples"], many=True)
        samples.is_valid(raise_exception=True)
        for sample in samples.validated_data:
            source = sample.get("source", {})
            InlineSample._default_manager.update_or_create(
                fingerprint=fingerprint(sample, user_id=user.pk),
                defaults={
                    "user": user,
                    "type": sample["type"],
                    "start": sample["start"],
                    "end": sample["end"],
                    "value": sample["value"],
                    "unit": sample["unit"],
                    "category": sample["category"],
                    "source_name": source.get("name", ""),
                    "source_bundle_id": source.get("bundle_id", ""),
                    "metadata": sample["metadata"],
                },
            )
        return Response({"status": "COMPLETED", "received": len(samples.validated_data)}, status=202)


def fingerprint(sample: Mapping[str, Any], *, user_id: int) -> str:
    identity = [user_id, *(sample[name] for name in ("type", "start", "end", "value", "category"))]
    return hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()
