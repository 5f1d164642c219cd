"""deploy() and retrieve() of the Metadata API: zip files in and out."""

import base64
import io
import zipfile
from typing import Any
from xml.etree import ElementTree

import pytest
import requests

from tests.salesforce_standin.running import ADMIN_TOKEN, Client

SPACE = "http://soap.sforce.com/2006/04/metadata"
FIELD = (
    "<fields><fullName>Score__c</fullName><label>Score</label><length>20</length><type>Text</type></fields>"
)
GRANT = "<fieldPermissions><editable>true</editable><field>Account.Score__c</field><readable>true</readable></fieldPermissions>"
SET = f"{GRANT}<label>Scores</label>"
BOTH = {"CustomField": ["Account.Score__c"], "PermissionSet": ["Scores"]}


def package(
    named: dict[str, list[str]], files: dict[str, tuple[str, str]] | None = None, prefix: str = ""
) -> str:
    """Return a zip file of ``{path: (type, content)}``, with a manifest that names what it holds."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(prefix + "package.xml", manifest(named))
        for path, (kind, content) in (files or {}).items():
            archive.writestr(prefix + path, f'<{kind} xmlns="{SPACE}">{content}</{kind}>')
    return base64.b64encode(target.getvalue()).decode()


def manifest(named: dict[str, list[str]]) -> str:
    types = "".join(
        f"<types>{''.join(f'<members>{name}</members>' for name in names)}<name>{kind}</name></types>"
        for kind, names in named.items()
    )
    return f'<Package xmlns="{SPACE}">{types}<version>60.0</version></Package>'


def fields_and_set(prefix: str = "", content: str = FIELD) -> str:
    files = {
        "permissionsets/Scores.permissionset": ("PermissionSet", SET),
        "objects/Account.object": ("CustomObject", content),
    }
    return package(BOTH, files, prefix)


class Metadata:
    """The Metadata API for the administrator."""

    def __init__(self, base: str) -> None:
        self.address = f"{base}/services/Soap/m/60.0"

    def send(self, call: str, address: str = "") -> ElementTree.Element:
        envelope = (
            f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{SPACE}"><e:Header><SessionHeader>'
            f"<sessionId>{ADMIN_TOKEN}</sessionId></SessionHeader></e:Header><e:Body>{call}</e:Body></e:Envelope>"
        )
        headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
        reply = requests.post(self.address + address, data=envelope, headers=headers, timeout=10)
        found = ElementTree.fromstring(reply.content).find(".//{*}Body/*")
        assert found is not None
        return found

    def deploy(self, zipped: str, **options: str) -> Any:
        """Deploy, and return (status, success, problems by component, components that went well)."""
        given = {"rollbackOnError": "true", "singlePackage": "true", **options}
        flags = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        queued = self.send(
            f"<deploy><ZipFile>{zipped}</ZipFile><DeployOptions>{flags}</DeployOptions></deploy>"
        )
        assert queued.findtext("{*}result/{*}state") == "Queued"
        id18 = str(queued.findtext("{*}result/{*}id"))
        check = f"<checkDeployStatus><asyncProcessId>{id18}</asyncProcessId><includeDetails>true</includeDetails></checkDeployStatus>"
        result = self.send(check, f"/deployRequest/{id18}").find("{*}result")
        assert result is not None
        assert result.findtext("{*}done") == "true"
        bad = {
            (one.findtext("{*}componentType"), one.findtext("{*}fullName")): one.findtext("{*}problem")
            for one in result.iterfind("{*}details/{*}componentFailures")
        }
        good = [one.findtext("{*}fullName") for one in result.iterfind("{*}details/{*}componentSuccesses")]
        return result.findtext("{*}status"), result.findtext("{*}success"), bad, good

    def retrieve(
        self, named: dict[str, list[str]], tag: str = "retrieveRequest", single: str = "true"
    ) -> Any:
        """Return (files, problems)."""
        listed = manifest(named).partition(">")[2].replace("</Package>", "")
        queued = self.send(
            f"<retrieve><{tag}><apiVersion>60.0</apiVersion><singlePackage>{single}</singlePackage>"
            f"<unpackaged>{listed}</unpackaged></{tag}></retrieve>"
        )
        id18 = queued.findtext("{*}result/{*}id")
        asked = self.send(f"<checkStatus><asyncProcessId>{id18}</asyncProcessId></checkStatus>")
        assert asked.findtext("{*}result/{*}state") == "Completed"
        result = self.send(
            f"<checkRetrieveStatus><asyncProcessId>{id18}</asyncProcessId></checkRetrieveStatus>"
        ).find("{*}result")
        assert result is not None
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(str(result.findtext("{*}zipFile"))))) as archive:
            files = {name: archive.read(name).decode() for name in archive.namelist()}
        return files, [one.findtext("{*}problem") for one in result.iterfind("{*}messages")]


@pytest.fixture
def metadata(standin):
    return Metadata(standin.base)


def field_names(admin: Client) -> list[str]:
    return [
        row["DeveloperName"] for row in admin.rows("SELECT DeveloperName FROM CustomField", "/tooling/query")
    ]


def test_fields_come_before_the_sets_that_open_them(metadata, admin):
    status, success, bad, good = metadata.deploy(fields_and_set())
    assert (status, success, bad, good) == ("Succeeded", "true", {}, ["Account.Score__c", "Scores"])
    assert field_names(admin) == ["Score"]
    granted = admin.rows("SELECT Field, PermissionsEdit FROM FieldPermissions WHERE Parent.Name = 'Scores'")
    assert granted == [{"Field": "Account.Score__c", "PermissionsEdit": True}]


def test_a_package_in_a_folder_and_flags_in_capitals(metadata):
    assert metadata.deploy(fields_and_set("unpackaged/"), singlePackage="False")[0] == "Succeeded"
    status, _, bad, _ = metadata.deploy(fields_and_set("unpackaged/"), singlePackage="True")
    assert (status, bad) == ("Failed", {("", "package.xml"): "No package.xml found"})


def test_one_bad_component_takes_the_others_back(metadata, admin):
    broken = FIELD + "<fields><fullName>Bad__c</fullName><label>Bad</label><type>Nonsense</type></fields>"
    status, success, bad, _ = metadata.deploy(fields_and_set(content=broken))
    assert (status, success, list(bad)) == ("Failed", "false", [("CustomField", "Account.Bad__c")])
    assert field_names(admin) == []
    status, _, _, good = metadata.deploy(fields_and_set(content=broken), rollbackOnError="false")
    assert (status, good) == ("SucceededPartial", ["Account.Score__c", "Scores"])
    assert field_names(admin) == ["Score"]


def test_a_check_writes_nothing(metadata, admin):
    assert metadata.deploy(fields_and_set(), checkOnly="true")[0] == "Succeeded"
    assert field_names(admin) == []


def test_what_the_manifest_names_must_be_there(metadata):
    named = {"CustomField": ["Account.Gone__c"], "Nonsense": ["X"]}
    _, _, bad, _ = metadata.deploy(package(named))
    assert bad == {
        ("CustomField", "Account.Gone__c"): (
            "An object 'Account.Gone__c' of type CustomField was named in package.xml, but was not found in zipped"
            " directory"
        ),
        ("Nonsense", "X"): "Unknown type name 'Nonsense' specified in package.xml",
    }
    assert metadata.deploy("bm8gemlw")[2] == {("", "package.xml"): "The zip file can't be read"}


def test_standard_parts_are_there_already_and_others_are_refused(metadata):
    content = "<fields><fullName>Phone</fullName><trackHistory>true</trackHistory></fields><validationRules><fullName>V</fullName></validationRules>"
    files = {"objects/Account.object": ("CustomObject", content), "classes/A.cls": ("ApexClass", "")}
    status, _, bad, good = metadata.deploy(package({"CustomObject": ["Account"]}, files))
    assert (status, good) == ("Failed", ["Account", "Account.Phone"])
    assert sorted(bad) == [("", "A"), ("validationRules", "Account.V")]


def test_what_is_to_be_destroyed(metadata, admin):
    metadata.deploy(fields_and_set())
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("package.xml", manifest({}))
        archive.writestr(
            "destructiveChanges.xml", manifest({"CustomField": ["Account.Score__c", "Account.No__c"]})
        )
    zipped = base64.b64encode(target.getvalue()).decode()
    status, _, bad, good = metadata.deploy(zipped, rollbackOnError="false")
    assert (status, good) == ("SucceededPartial", ["Account.Score__c"])
    assert bad == {("CustomField", "Account.No__c"): "No CustomField named: Account.No__c found"}
    assert field_names(admin) == []


def test_what_was_deployed_is_retrieved(metadata):
    metadata.deploy(fields_and_set())
    files, problems = metadata.retrieve(
        {**BOTH, "Layout": ["No-Such"], "Nonsense": ["*"], "ApexClass": ["*"]}
    )
    assert sorted(files) == ["objects/Account.object", "package.xml", "permissionsets/Scores.permissionset"]
    assert "<fields><fullName>Score__c</fullName>" in files["objects/Account.object"]
    assert GRANT in files["permissionsets/Scores.permissionset"]
    assert "<members>Account.Score__c</members><name>CustomField</name>" in files["package.xml"]
    assert problems == [
        "Entity of type 'Layout' named 'No-Such' cannot be found",
        "Unknown type name 'Nonsense' specified in package.xml",
    ]


def test_an_object_brings_its_fields_and_a_folder_unless_single(metadata):
    metadata.deploy(fields_and_set())
    named = {"CustomObject": ["Account", "*"], "PermissionSet": ["*"]}
    files, _ = metadata.retrieve(named, tag="request", single="false")
    assert sorted(files) == [
        "unpackaged/objects/Account.object",
        "unpackaged/package.xml",
        "unpackaged/permissionsets/Scores.permissionset",
    ]
    assert "Score__c" in files["unpackaged/objects/Account.object"]


@pytest.mark.parametrize("call", ["checkDeployStatus", "checkRetrieveStatus", "checkStatus"])
def test_an_unknown_job(metadata, call):
    body = metadata.send(f"<{call}><asyncProcessId>0Af5g0000180009CAA</asyncProcessId></{call}>")
    assert str(body.findtext("faultcode")).endswith("INVALID_ID_FIELD")
