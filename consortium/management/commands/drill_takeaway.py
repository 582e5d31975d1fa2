"""`./portal manage drill_takeaway HUB --onto CLUSTER`: the rehearsal that a hub's bundle installs elsewhere."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.command_line import BAD_INPUT, BLOCKED, JsonParser, print_json
from provisioning.gateways.base import GatewayError
from provisioning.leaving.drilling import drill
from provisioning.models import Cluster, Hub


class Command(BaseCommand):
    """Makes the bundle, installs it on the other cluster, compares both, and takes the copy away again."""

    help = (
        "Rehearses that a hub's take-away bundle installs on another cluster, and prints the comparison as one JSON "
        "object. The hub itself is not touched. Exit status 0: nothing differs; 2: bad input; 3: something differs, or "
        "the copy could not be made."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Answer a wrong call in JSON too."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = JsonParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the hub and the cluster."""
        parser.add_argument("hub", metavar="HUB", help="the hub's short name")
        parser.add_argument("--onto", metavar="CLUSTER", required=True, help="the short name of another cluster")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Rehearse, print, and end with 0, 2 or 3."""
        with consortium_scope(Scope.COMMAND):
            hub = Hub.objects.filter(slug=options["hub"]).select_related("cluster", "institution").first()
            onto = Cluster.objects.filter(slug=options["onto"], retired_at=None).first()
        if hub is None or onto is None or onto.pk == hub.cluster_id:
            text = "Name a hub, and a cluster that it is not on: ./portal manage drill_takeaway HUB --onto CLUSTER."
            print_json({"error": {"code": "unknown", "message": text, "field": "onto" if hub else "hub"}})
            self.stderr.write(text)
            sys.exit(BAD_INPUT)
        try:
            with TemporaryDirectory(prefix="drill-") as folder:
                report = drill(hub, onto, into=Path(folder), say=self.stderr.write)
        except (GatewayError, PortalError) as error:
            print_json({"error": {"code": "drill_failed", "message": error.message, "field": None}})
            self.stderr.write(error.message)
            sys.exit(BLOCKED)
        print_json(report.as_dict())
        if not report.passed:
            sys.exit(BLOCKED)
