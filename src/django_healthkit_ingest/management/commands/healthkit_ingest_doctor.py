from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.pipeline.doctor import Finding, Verdict, examine_services
from django_healthkit_ingest.sqs.digest import digest
from django_healthkit_ingest.sqs.doctor import examine_broker
from django_healthkit_ingest.sqs.permissions import ROLES


class Command(BaseCommand):
    help = "Look at what only the network shows: one line for each thing, OK or its cure. Exit code 1 if one needs it."
    requires_system_checks = ()  # they are among the findings

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", choices=ROLES, default="worker", help="whose permissions to try; worker if none")
        parser.add_argument("--digest", action="store_true", help="print the digest of the settings and do no more")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["digest"]:
            self.stdout.write(json.dumps({"digest": digest()}) if options["json"] else digest())
            return
        findings = []
        for finding in chain(examine_services(), examine_broker(role=options["role"])):
            findings.append(finding)
            if not options["json"]:
                self.stdout.write(f"{self._verdict(finding)} {finding.name}: {finding.text}")
        ill = sum(finding.verdict is Verdict.CURE for finding in findings)
        if options["json"]:
            self.stdout.write(json.dumps({"healthy": not ill, "findings": [asdict(finding) for finding in findings]}))
        if ill:
            raise CommandError(f"Findings that need a cure: {ill}.")

    def _verdict(self, finding: Finding) -> str:
        styles = {Verdict.OK: self.style.SUCCESS, Verdict.CURE: self.style.ERROR, Verdict.SKIPPED: self.style.WARNING}
        return styles[finding.verdict](f"{finding.verdict:7}")
