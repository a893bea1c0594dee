"""Where the service is known to differ from the contract: the one list, each entry with its reason.

An entry is either a fault of the contract, or something the live service was seen to do that the contract does not
say. One that nothing comes upon any more fails a test: it belongs out of the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.contract.checker import Finding


@dataclass(frozen=True)
class Known:
    """A known difference. The first three are regular expressions that have to match in full."""

    operation: str
    side: str
    where: str
    reason: str
    problem: str = ".*"

    def covers(self, finding: Finding) -> bool:
        pairs = (
            (self.operation, finding.operation),
            (self.side, finding.side),
            (self.where, finding.where),
            (self.problem, finding.problem),
        )
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


V1, V2 = "/api/v1/batch", "/api/v2/batch"
_ABSENT = "not in the contract"
STATISTICAL = "/api/v1/statistics/batch"
_TASKS = rf"(GET|POST|PUT) {V2}/process.*"
_WITH_ACCESS = rf"{_TASKS}|(GET|POST) {STATISTICAL}.*"

KNOWN = (
    # Faults of the contract.
    Known(
        r"(GET|POST|PUT) .*/process.*",
        "request|reply",
        r"body .*processRequest/output/responses/\*/identifier",
        "The enum of a response's identifier is the literal text <identifier>; any name is meant.",
        r".* is not one of \['<identifier>', 'userdata'\]",
    ),
    Known(
        r"(GET|POST|PUT) .*/process.*",
        "request|reply",
        r"body .*input/data/\*",
        "The type of a collection of one's own is any text, so a source without a filter of its kind fits twice.",
        r".* is valid under each of .*(BYOCDataset|own-source).*",
    ),
    Known(
        _TASKS,
        "request|reply",
        r"body .*output",
        "The raster output requires group, which belongs to the zarr output; no client sends it.",
        "'group' is a required property",
    ),
    Known(
        _WITH_ACCESS,
        "request|reply",
        r"body .*/s3/region",
        "The contract spells it regin; all clients send region.",
        _ABSENT,
    ),
    Known(
        _WITH_ACCESS,
        "request|reply",
        r"body .*/s3/iamRoleARN",
        "Access by a role is missing in the contract of 2025; that of 2026 has it, and the vendor's client sends it.",
        _ABSENT,
    ),
    Known(
        rf"(GET|POST) {STATISTICAL}.*",
        "reply",
        r"body (data/\*/)?costPU",
        "The contract spells it costPu; the service answers costPU (seen).",
        _ABSENT,
    ),
    Known(
        rf"PUT ({V1}|{V2})/process/.*",
        "reply",
        "status 400 body",
        "The 400 of an update refers to the 401, which has no body; it is an error like the others.",
    ),
    Known(
        rf"DELETE {V1}/.*",
        "request",
        "header authorization",
        "The DELETE operations have no security entry; nobody may delete without a token.",
        _ABSENT,
    ),
    Known(
        rf"DELETE {V1}/.*",
        "reply",
        "status 409 body",
        "The 409 of a DELETE has a description only; other 409s carry the wrapper.",
    ),
    Known(
        r"(GET|POST) .*",
        "reply",
        "status 40[13] body",
        "401 and 403 have no body in the contract; both were seen with the wrapper.",
    ),
    Known(
        r"(POST|PUT) .*",
        "reply",
        "status 400 body error/errors",
        "errors is an object in the contract; it was seen as a list of violations.",
        r"\[.*\] is not of type 'object'",
    ),
    Known(
        rf"GET {V1}/process/\{{requestId\}}/tiles.*",
        "reply",
        "status 40[014]",
        "The tiles' operations name no refusals, though nothing comes without a token and no nonsense is taken.",
        _ABSENT,
    ),
    Known(
        rf"(GET ({V1}|{V2})/(process|collections)|PUT {V1}/collections/.*)",
        "reply",
        "status 400",
        "No list and no change of a collection names a 400, though no nonsense is taken.",
        _ABSENT,
    ),
    # What the live service does and the contract does not say.
    Known(
        r"GET .*",
        "reply",
        "status (429|500|503)",
        "Every call may be rate limited or fail at the service; no operation lists it.",
        _ABSENT,
    ),
    Known(
        rf"GET ({V1}|{V2})/process",
        "request",
        "query userid",
        "The vendor's client filters by this parameter.",
        _ABSENT,
    ),
    Known(
        r"(GET|POST) .*/process.*",
        "reply",
        r"body .*processRequest/input/bounds/geometry/crs",
        "A geometry comes back with a crs member holding a URN (seen, v1 and v2).",
        _ABSENT,
    ),
    Known(
        rf"GET {V1}/process/\{{requestId\}}/tiles.*",
        "reply",
        "body (.*/)?(name|geometry/crs)",
        "A tile has a name, and its geometry a crs (seen).",
        _ABSENT,
    ),
    Known(
        rf"GET ({V1}|{V2})/tilinggrids.*",
        "reply",
        "body .*properties/(chunkWidth|chunkHeight|singleCrs)",
        "A tiling grid has these three besides (seen in 2026).",
        _ABSENT,
    ),
    Known(
        rf"(GET|POST) {V1}/collections.*",
        "reply",
        "body data",
        "The vendor's client takes created and fetched collections from under data; the contract shows them bare.",
        _ABSENT,
    ),
    Known(
        rf"(GET|POST) {V1}/collections.*",
        "reply",
        r"body (data/\*/)?userId",
        "The vendor's model of a collection has a user id.",
        _ABSENT,
    ),
    Known(
        _TASKS,
        "reply",
        r"body .*processRequest/output/responses/\*/logo",
        "A task echoes logo: false in every response (seen).",
        _ABSENT,
    ),
    Known(
        rf"(GET|POST) ({V2}/process|{STATISTICAL}).*",
        "reply",
        r"body (data/\*/)?(projectId|workspaceId)",
        "Tasks and statistical requests name their project and workspace; new in the contract of 2026.",
        _ABSENT,
    ),
)


def unknown(findings: list[Finding]) -> list[Finding]:
    """The findings that no entry of the list covers."""
    return [finding for finding in findings if not any(entry.covers(finding) for entry in KNOWN)]
