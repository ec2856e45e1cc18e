from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from django_healthkit_ingest.sqs.infrastructure import dead_letter_attributes, queue_attributes


class Command(BaseCommand):
    help = "Print the attributes that the SQS queue and its dead-letter queue must have, for infrastructure code."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue-arn", required=True, metavar="ARN")
        parser.add_argument("--dlq-arn", required=True, metavar="ARN")
        parser.add_argument("--kms-key-arn", default="", metavar="ARN", help="without it SQS's own key encrypts")
        parser.add_argument("--json", action="store_true", help="no difference: it is JSON in any case")

    def handle(self, *args: Any, **options: Any) -> None:
        key = options["kms_key_arn"]
        attributes = {
            "queue": queue_attributes(dlq_arn=options["dlq_arn"], kms_key_arn=key),
            "dead_letter_queue": dead_letter_attributes(queue_arn=options["queue_arn"], kms_key_arn=key),
        }
        self.stdout.write(json.dumps(attributes, indent=2))
