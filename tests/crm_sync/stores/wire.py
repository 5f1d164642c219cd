"""Contacts as they come over the wire."""

from __future__ import annotations

from typing import Any

from crm_sync.mapping_files import load_mappings

MAPPINGS = load_mappings("salesforce")
USER = "0055g000001AbCdEFG"


def service(**changes: Any) -> dict[str, Any]:
    """The fields that every record carries, changed by us."""
    return {
        "Id": "003000000000001AAA",
        "SystemModstamp": "2026-11-22T10:00:00.000+0000",
        "LastModifiedById": USER,
        "IsDeleted": False,
        "MasterRecordId": None,
        "GPTWeb_Id__c": "our id",
        "GPTWeb_Sync_Marker__c": "marker",
        **changes,
    }


def whole(**changes: Any) -> dict[str, Any]:
    """A contact with all mapped fields, blank but for the changes."""
    blank = dict.fromkeys(f.theirs for f in MAPPINGS["contact"].fields)
    return service() | blank | {"GPTWeb_Is_DQL__c": False} | changes
