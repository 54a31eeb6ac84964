"""The route file that Envoy watches: rules and route record in one document.

The document is Envoy's own format (a discovery response with one route configuration).  tailramp owns three things in
it: the record under ``metadata.filter_metadata.tailramp``, the entries that it puts in front of the main ones (their
names start with ``tailramp/``), and the slot that the main entries point at.  Everything else belongs to the platform
team and is carried over untouched.
"""

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from tailramp.assignment import Assignment
from tailramp.errors import Refused
from tailramp.route_record import OffAnswer, RouteRecord, SlotRecord

BUCKET_HEADER = "x-user-bucket"
SEGMENT_HEADER = "x-user-bucket-2d"
VARIANT_HEADER = "x-tailramp-variant"

_OWN = "tailramp/"
_KEPT = ("route", "metadata", "response_headers_to_add")
_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True)
class RouteDocument:
    """A parsed route file.  Treat ``data`` as frozen: every change makes a new document."""

    data: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Refused, saying what is wrong, for anything but a route file with a record."""
        try:
            document = cls(json.loads(text))
            _ = document.name, document.version, document.with_record(document.record)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ValidationError) as error:
            detail = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Refused(
                f"the route file is not one that tailramp can write ({type(error).__name__}: {detail}). "
                "It must hold one route configuration with a tailramp record in metadata.filter_metadata"
            ) from None
        return document

    @classmethod
    def initial(cls, route: str, *, slots: dict[str, SlotRecord], default: str, prefix: str = "/") -> Self:
        """A new route that serves everyone from ``default``: where a platform team starts."""
        record = RouteRecord(
            route=route, original_default=default, slots=slots, assignment=Assignment(default=default), objects=(route,)
        )
        main = {"name": "main", "match": {"prefix": prefix}, **_served_by(default, {"timeout": "0s"})}
        config = {
            "@type": _TYPE,
            "name": route,
            # Otherwise Envoy accepts a rule that names no cluster it knows, and answers 503.
            "validate_clusters": True,
            "metadata": {"filter_metadata": {"tailramp": record.model_dump(mode="json")}},
            "virtual_hosts": [{"name": route, "domains": ["*"], "routes": [main]}],
        }
        return cls({"version_info": "0", "resources": [config]})

    @property
    def config(self) -> dict[str, Any]:
        config = self.data["resources"][0]
        if not isinstance(config, dict):
            raise TypeError("resources[0] is not a mapping")
        return config

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def version(self) -> str:
        return str(self.data["version_info"])

    @property
    def record(self) -> RouteRecord:
        return RouteRecord.model_validate(self.config["metadata"]["filter_metadata"]["tailramp"])

    @property
    def main_entries(self) -> list[dict[str, Any]]:
        """The platform team's entries that point at one of the route's slots."""
        slots = self.record.slots
        return [
            entry
            for host in self.config["virtual_hosts"]
            for entry in host["routes"]
            if not str(entry.get("name", "")).startswith(_OWN) and _action(entry).get("cluster") in slots
        ]

    def with_record(self, record: RouteRecord) -> "RouteDocument":
        """The document that stores ``record`` and serves its assignment.

        Each rule repeats every main entry with the header match added, in front of it; the main entries point at the
        assignment's default.
        """
        data = copy.deepcopy(self.data)
        config = data["resources"][0]
        config["metadata"]["filter_metadata"]["tailramp"] = record.model_dump(mode="json")
        for host in config["virtual_hosts"]:
            entries = []
            for entry in host["routes"]:
                if str(entry.get("name", "")).startswith(_OWN):
                    continue
                if _action(entry).get("cluster") in record.slots:
                    entry = _switched_on(entry)
                    entries += [
                        _rule_entry(entry, rule.slot, rule.pattern, bool(rule.segments))
                        for rule in record.assignment.rules
                    ]
                    entry = _repointed(entry, record.assignment.default)
                    if record.off:
                        entry = _switched_off(entry, record.off_answer)
                entries.append(entry)
            host["routes"] = entries
        data["version_info"] = f"{record.epoch}-{_digest(config)[:12]}"
        return RouteDocument(data)

    def with_record_only(self, record: RouteRecord) -> "RouteDocument":
        """The document that stores ``record`` and leaves every entry as it stands: for changes that move nobody."""
        data = copy.deepcopy(self.data)
        config = data["resources"][0]
        config["metadata"]["filter_metadata"]["tailramp"] = record.model_dump(mode="json")
        data["version_info"] = f"{record.epoch}-{_digest(config)[:12]}"
        return RouteDocument(data)

    def without_record(self) -> "RouteDocument":
        """The document as the platform team's alone: the record is gone, and so are tailramp's own entries."""
        data = copy.deepcopy(self.data)
        config = data["resources"][0]
        filters = config["metadata"]["filter_metadata"]
        del filters["tailramp"]
        if not filters:
            del config["metadata"]
        for host in config["virtual_hosts"]:
            host["routes"] = [r for r in host["routes"] if not str(r.get("name", "")).startswith(_OWN)]
        data["version_info"] = f"released-{_digest(config)[:12]}"
        return RouteDocument(data)

    @property
    def drift(self) -> tuple[str, ...]:
        """What somebody else changed in tailramp's own part: entries that are not what the record means."""
        meant = {_place(host, entry): entry for host, entry in self.with_record(self.record).entries}
        stands = {_place(host, entry): entry for host, entry in self.entries}
        lines = [f"{place} is gone" for place in meant if place not in stands]
        lines += [f"{place} was added" for place in stands if place not in meant]
        lines += [f"{place} was changed" for place in meant if place in stands and meant[place] != stands[place]]
        return tuple(lines)

    @property
    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """Every entry with the name of its virtual host, in order."""
        return [(str(host.get("name")), entry) for host in self.config["virtual_hosts"] for entry in host["routes"]]

    @property
    def digest(self) -> str:
        """Of everything but the record and the version: what a rollback must leave as it was."""
        config = copy.deepcopy(self.config)
        del config["metadata"]["filter_metadata"]["tailramp"]
        return _digest(config)

    def text(self) -> str:
        return json.dumps(self.data, indent=1, ensure_ascii=False) + "\n"


def _place(host: str, entry: dict[str, Any]) -> str:
    return f"entry {entry.get('name', json.dumps(entry.get('match'), sort_keys=True))} of {host}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _served_by(slot: str, action: dict[str, Any]) -> dict[str, Any]:
    return {
        "route": {**action, "cluster": slot},
        "response_headers_to_add": [_overwritten(VARIANT_HEADER, slot)],
    }


def _overwritten(header: str, value: str) -> dict[str, Any]:
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _repointed(entry: dict[str, Any], slot: str) -> dict[str, Any]:
    """The entry with another slot.  All else stays as it is spelt, so that pointing it back restores it exactly."""
    served = _served_by(slot, entry["route"])
    headers = [
        {**header, "header": {**header["header"], "value": slot}} if _tells_variant(header) else header
        for header in entry.get("response_headers_to_add", [])
    ]
    if not any(_tells_variant(header) for header in headers):
        headers += served["response_headers_to_add"]
    return {**entry, **served, "response_headers_to_add": headers}


def _tells_variant(header: dict[str, Any]) -> bool:
    return str(header["header"]["key"]).lower() == VARIANT_HEADER


def _action(entry: dict[str, Any]) -> dict[str, Any]:
    """Where a main entry sends its requests, or would if the route were not off; empty for any other entry."""
    action = entry.get("route", _kept(entry).get("route", {}))
    return action if isinstance(action, dict) else {}


def _kept(entry: dict[str, Any]) -> dict[str, Any]:
    """What an entry that is off says about itself when it is on."""
    kept = entry.get("metadata", {}).get("filter_metadata", {}).get("tailramp", {})
    return kept if isinstance(kept, dict) else {}


def _switched_off(entry: dict[str, Any], answer: OffAnswer) -> dict[str, Any]:
    """The entry answers by itself; where it used to send its requests is kept beside it."""
    body = json.dumps({"error": {"message": answer.message, "type": "service_unavailable"}}, ensure_ascii=False)
    headers = {"content-type": "application/json; charset=utf-8", VARIANT_HEADER: "off"}
    off = {key: value for key, value in entry.items() if key not in _KEPT}
    off["metadata"] = {"filter_metadata": {"tailramp": {key: entry[key] for key in _KEPT if key in entry}}}
    off["direct_response"] = {"status": answer.status, "body": {"inline_string": body}}
    off["response_headers_to_add"] = [_overwritten(key, value) for key, value in headers.items()]
    return off


def _switched_on(entry: dict[str, Any]) -> dict[str, Any]:
    if "route" in entry:
        return entry
    on = {key: value for key, value in entry.items() if key not in {"direct_response", "metadata", *_KEPT}}
    return {**on, **_kept(entry)}


def _rule_entry(main: dict[str, Any], slot: str, pattern: str, two_dimensional: bool) -> dict[str, Any]:
    entry = _repointed(copy.deepcopy(main), slot)
    header = {
        "name": SEGMENT_HEADER if two_dimensional else BUCKET_HEADER,
        "string_match": {"safe_regex": {"regex": pattern}},
    }
    entry["name"] = f"{_OWN}{slot}/{main.get('name', 'main')}"
    entry["match"] = {**entry["match"], "headers": [*entry["match"].get("headers", []), header]}
    return entry
