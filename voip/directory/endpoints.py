"""The paths of the HTTP API, what each takes and gives: the one table that requests are checked by, and that the
document of the API (OpenAPI 3.1) is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from voip.directory.refusals import BadRequest

LONGEST_ID, LONGEST_TEXT, LONGEST_CANDIDATE, LONGEST_PASSWORD = 128, 32_768, 1024, 256
"""Characters of an id, of an offer or answer (a session description has some thousand), and of the others."""
STRING, STRINGS, BOOLEAN = "string", "strings", "boolean"
TRUE, FALSE = ("1", "true"), ("0", "false", "")
JSON = "application/json"

Schema = Mapping[str, Any]


class Field(NamedTuple):
    """Of a body, or of a query. `most`: characters, or items of `strings`."""

    name: str
    about: str
    kind: str = STRING
    required: bool = True
    most: int = LONGEST_ID

    def read(self, value: object) -> object:
        """The value, checked. BadRequest."""
        if self.kind == BOOLEAN:
            if isinstance(value, bool):
                return value
            raise BadRequest(f"{self.name} is true or false")
        if self.kind == STRINGS:
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise BadRequest(f"{self.name} is a list of strings")
            if len(value) > self.most:
                raise BadRequest(f"{self.name} has {self.most} items at most")
            return value
        if not isinstance(value, str):
            raise BadRequest(f"{self.name} is a string")
        if len(value) > self.most:
            raise BadRequest(f"{self.name} has {self.most} characters at most")
        return value

    def schema(self) -> Schema:
        """As the document has it."""
        if self.kind == BOOLEAN:
            return {"type": "boolean"}
        if self.kind == STRINGS:
            return {"type": "array", "items": {"type": "string"}, "maxItems": self.most}
        return {"type": "string", "maxLength": self.most}


class Endpoint(NamedTuple):
    """`name` is of the method that serves it; `gives` are the properties of the response, by name."""

    method: str
    path: str
    name: str
    about: str
    fields: tuple[Field, ...] = ()
    gives: Mapping[str, Schema] = {}
    refuses: tuple[int, ...] = ()


TEXT: Schema = {"type": "string"}
NULLABLE: Schema = {"type": ["string", "null"]}
WHETHER: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
LIST: Schema = {"type": "array", "items": TEXT}
SUCCESS: Schema = {"const": "success"}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


CALL = _object(call_id=TEXT, caller_id=TEXT, callee_id=TEXT, status=TEXT, peer=TEXT)
LISTED_CALL = _object(
    call_id=TEXT, caller=TEXT, callee=TEXT, status=TEXT, began=NUMBER, answered=NUMBER, ended=NUMBER, reason=TEXT
)
LISTED_USER = _object(
    id=TEXT,
    username=TEXT,
    ip_address=NULLABLE,
    status=TEXT,
    last_heartbeat={"type": "integer"},
    room=WHETHER,
    contacts=LIST,
)
PENDING = {"status": {"enum": ["success", "pending"]}, "message": TEXT}
USER_ID = Field("user_id", "Who asks, or who is asked about.")
CALL_ID = Field("call_id", "The call.")
MESSAGE_TYPE = Field("message_type", "What the message is, as the path says it.")
SIGNAL = (MESSAGE_TYPE, USER_ID)
MOVED = {"status": SUCCESS, "message": TEXT, "call": CALL}
TOLD = {"status": SUCCESS, "message": TEXT}


def _moves(name: str, about: str) -> Endpoint:
    return Endpoint("POST", f"/api/signal/{name}", name, about, (*SIGNAL, CALL_ID), MOVED, (404, 409))


def _tells(name: str, about: str, longest: int = LONGEST_TEXT) -> Endpoint:
    field = Field(name, f"The {name}, as the other side gets it.", most=longest)
    return Endpoint("POST", f"/api/signal/{name}", name, about, (*SIGNAL, CALL_ID, field), TOLD, (404, 409))


ENDPOINTS = (
    Endpoint("GET", "/api/health", "health", "Whether the directory is there.", (), {"status": {"const": "ok"}}),
    Endpoint(
        "POST",
        "/api/users/register",
        "register",
        "Become known by a name, and where to be called. A name that is known keeps its user_id.",
        (
            Field("username", "1 to 64 printable characters."),
            Field("contacts", "SIP addresses, the best first.", STRINGS, required=False, most=10),
            Field("password", "Whoever registers this name later needs it, too.", required=False, most=256),
            Field("room", "A conference answers there.", BOOLEAN, required=False),
        ),
        {"user_id": TEXT, "username": TEXT},
        (403, 409),
    ),
    Endpoint(
        "GET",
        "/api/users/list",
        "list_users",
        "All users that are there.",
        (Field("offline", "1: the others as well.", BOOLEAN, required=False),),
        {"users": {"type": "array", "items": LISTED_USER}},
    ),
    Endpoint(
        "GET",
        "/api/users/get",
        "get_user",
        "One user.",
        (USER_ID,),
        {"user_id": TEXT, "username": TEXT, "status": TEXT},
        (404,),
    ),
    Endpoint(
        "GET",
        "/api/users/find",
        "find_user",
        "Where the user of a name is reached.",
        (Field("name", "In upper or lower case."),),
        {"user_id": TEXT, "username": TEXT, "status": TEXT, "room": WHETHER, "contacts": LIST},
        (404,),
    ),
    Endpoint(
        "POST",
        "/api/users/heartbeat",
        "heartbeat",
        "Still there. Silent for more than 10 s is offline.",
        (USER_ID,),
        {"success": WHETHER},
        (404,),
    ),
    Endpoint("POST", "/api/users/disconnect", "disconnect", "Goodbye.", (USER_ID,), {"success": WHETHER}, (404,)),
    Endpoint(
        "POST",
        "/api/signal/initiate",
        "initiate",
        "Call a user: the program, or else the telephone, of the caller dials.",
        (*SIGNAL, Field("target_user_id", "Who is called.")),
        {"status": SUCCESS, "call_id": TEXT, "message": TEXT},
        (404, 409),
    ),
    _moves("accept", "Answer the call."),
    _moves("reject", "Decline the call."),
    _moves("end", "Hang up."),
    _moves("hold", "Put the call on hold."),
    _moves("resume", "Go on with it."),
    _tells("offer", "Tell the other side an offer."),
    _tells("answer", "Tell the other side an answer."),
    _tells("candidate", "Tell the other side a candidate.", LONGEST_CANDIDATE),
    Endpoint(
        "GET",
        "/api/signal/incoming",
        "incoming",
        "The call that rings at a user, or null.",
        (USER_ID,),
        {"call": {"oneOf": [CALL, {"type": "null"}]}},
        (404,),
    ),
    Endpoint("GET", "/api/signal/status", "call_status", "The state of a call.", (CALL_ID,), MOVED, (404,)),
    Endpoint("GET", "/api/signal/get_offer", "get_offer", "The offer of a call.", (CALL_ID, USER_ID), PENDING, (404,)),
    Endpoint(
        "GET", "/api/signal/get_answer", "get_answer", "The answer of a call.", (CALL_ID, USER_ID), PENDING, (404,)
    ),
    Endpoint(
        "GET",
        "/api/signal/get_candidates",
        "get_candidates",
        "The candidates of the other side.",
        (CALL_ID, USER_ID),
        {"status": SUCCESS, "candidates": LIST},
        (404,),
    ),
    Endpoint(
        "GET",
        "/api/calls/list",
        "list_calls",
        "The newest calls.",
        (),
        {"calls": {"type": "array", "items": LISTED_CALL}},
    ),
)
"""All of it."""


def read_fields(endpoint: Endpoint, given: Mapping[str, object], optional: frozenset[str]) -> dict[str, Any]:
    """The fields of a request, checked; those that are optional and null or not there are left out. BadRequest."""
    found = {}
    for field in endpoint.fields:
        value = given.get(field.name)
        if value is not None:
            found[field.name] = field.read(value)
        elif field.required and field.name not in optional:
            raise BadRequest(f"{field.name} is missing")
    return found


def read_query(endpoint: Endpoint, given: Mapping[str, str], optional: frozenset[str]) -> dict[str, Any]:
    """The same of a query, where all is text. BadRequest."""
    values: dict[str, object] = dict(given)
    for field in endpoint.fields:
        text = given.get(field.name)
        if field.kind == BOOLEAN and text is not None:
            if text.lower() not in TRUE + FALSE:
                raise BadRequest(f"{field.name} is 1 or 0")
            values[field.name] = text.lower() in TRUE
    return read_fields(endpoint, values, optional)


# --- the document -----------------------------------------------------------------------------------------------------

COMPAT: Schema = {
    "name": "compat",
    "in": "query",
    "description": "1: respond as the first program with this API did, in what it got wrong as well.",
    "schema": {"type": "string", "enum": ["0", "1"]},
}
ERROR = "#/components/schemas/Error"
REASONS = {
    400: "A field is missing or makes no sense.",
    401: "The token is missing or wrong.",
    403: "The name has another password, or the page is from elsewhere.",
    404: "There is no such user or call.",
    409: "Not possible in this state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The Host is not this directory.",
    429: "Too many requests.",
    503: "The database does not take it.",
}
ALWAYS = (400, 401, 403, 421, 429)


def document(version: str) -> dict[str, Any]:
    """The API by OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "voip-directory", "version": version},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _object(error=TEXT)},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    statuses = {*ALWAYS, *endpoint.refuses, *((413, 415, 503) if endpoint.method == "POST" else ())}
    refused = {JSON: {"schema": {"$ref": ERROR}}}
    found: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.about,
        "parameters": [COMPAT],
        "responses": {
            "200": {"description": "Done.", "content": {JSON: {"schema": _response(endpoint)}}},
            **{str(status): {"description": REASONS[status], "content": refused} for status in sorted(statuses)},
        },
    }
    found["responses"]["400"]["content"] = {**refused, "text/plain": {"schema": TEXT}}  # with compat
    if endpoint.method == "GET":
        found["parameters"] = [COMPAT, *map(_parameter, endpoint.fields)]
    else:
        properties = {each.name: {**each.schema(), "description": each.about} for each in endpoint.fields}
        required = [each.name for each in endpoint.fields if each.required]
        body = {"type": "object", "properties": properties, "required": required}
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return found


def _response(endpoint: Endpoint) -> Schema:
    return {"type": "object", "properties": endpoint.gives}


def _parameter(field: Field) -> Schema:
    schema = {"type": "string", "enum": ["0", "1"]} if field.kind == BOOLEAN else field.schema()
    return {
        "name": field.name,
        "in": "query",
        "required": field.required,
        "description": field.about,
        "schema": schema,
    }
