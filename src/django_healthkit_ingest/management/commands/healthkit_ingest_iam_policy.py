from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.sqs.permissions import ROLES, policy


class Command(BaseCommand):
    help = "Print the IAM policy of a role, with the actions that are really called and no other."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", required=True, choices=ROLES)
        parser.add_argument("--queue-arn", required=True, metavar="ARN")
        parser.add_argument("--dlq-arn", default="", metavar="ARN", help="of the dead-letter queue, for the operator")
        parser.add_argument("--kms-key-arn", default="", metavar="ARN", help="of the key that encrypts the queues")
        parser.add_argument("--json", action="store_true", help="no difference: it is JSON in any case")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["role"] == "operator" and not options["dlq_arn"]:
            raise CommandError("--role operator needs --dlq-arn: the dead letters are what an operator is for.")
        document = policy(
            options["role"],
            queue_arn=options["queue_arn"],
            dlq_arn=options["dlq_arn"],
            kms_key_arn=options["kms_key_arn"],
        )
        self.stdout.write(json.dumps(document, indent=2))
