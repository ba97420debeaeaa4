"""Schemas"""

import json
import re

from schemas import TROUBLES, foreign, pathless

from .look import parts_of
from .rule import rule


def schemas_before(look):
    """All that was stored as a schema on the way, and may apply to this request."""
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            data = part.body.get("data") if isinstance(part.body, dict) else None
            for name, value in (data.items() if isinstance(data, dict) else ()):
                if name == "schema" or name.endswith(":schema"):
                    yield value


def written(look, *words):
    """Does one of them stand in a schema?"""
    return any(word in json.dumps(s) for s in schemas_before(look) for word in words)


@rule("500 schema", "Server errors", "schemas that are none in their own draft or have no end; and a refusal of a whole object by a keyword "
      "whose value has no last element")
def schema_error(look, d):
    no_answer = d.is_status and d.pair == (0, 400)  # in time, of an endless schema
    if not (look.broken(d) or no_answer) or not look.any_part(lambda p: p.stores):
        return False
    # Below the default bucket ours may stop at a schema that the reference forgets.
    endless = b"The schema refers to itself" in look.our.body or look.any_part(lambda p: p.in_default)
    return any(s in TROUBLES or pathless(s) or foreign(s) or endless and "$ref" in json.dumps(s) for s in schemas_before(look))


@rule("first of several members", "Schemas", "of several members that additionalProperties refuses the reference tells of any, since it keeps them in a set")
def any_member(look, d):
    return d.is_told and look.statuses[1] == 400 and written(look, '"additionalProperties": {')


def without_id(text):
    return re.sub(r"(, )?'id': '[^']*'", "", str(text)).replace("{, ", "{")


@rule("place of the id", "Schemas", "where a message shows an object with its id, that is the last member; in the reference it stands where it came in")
def place_of_id(look, d):
    return d.is_told and not d.is_length and without_id(d.ref) == without_id(d.our) != str(d.our)


@rule("unresolved references", "Schemas", "after the first error in a branch the rest of it is not looked at, so that of two broken $ref another is told")
def unresolved(look, d):
    broken = re.compile(r"(PointerToNowhere|NoSuchAnchor|Unresolvable): ")
    return (d.is_told or d.is_status) and bool(broken.search(json.dumps(look.bodies[0]))) and written(look, "anyOf", "oneOf")


@rule("schemas of the default bucket", "Schemas", "below /buckets/default the reference forgets the schemas of bucket and collection")
def default_schemas(look, d):
    if not look.any_part(lambda p: p.in_default and p.stores) or not any(True for _ in schemas_before(look)):
        return False
    if d.is_status:
        return d.ref in (200, 201) and (d.our == 400 or look.is_batch and d.our in (200, 201))
    return d.is_told or d.where.endswith("body.data.schema")
