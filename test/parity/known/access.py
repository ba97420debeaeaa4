"""Permissions · Erasing a principal · Privacy · CORS"""

import json

from .lists import of_a_list
from .look import parts_of, patches, plain, touches
from .rule import rule


# -- Permissions

@rule("permissions in data", "Permissions", "__permissions__ inside data is checked like permissions")
def permissions_in_data(look, d):
    if not look.any_part(lambda p: "__permissions__" in json.dumps(p.body)):
        return False
    shown = look.any_part(lambda p: p.shows_changes or "merge-patch" in p.type)
    return d.is_status and look.statuses[1] == 400 or shown and d.where.startswith("body.permissions")


@rule("kinds of a JSON patch", "Permissions", "a JSON patch cannot make up kinds of permission, or principals that are none")
def made_up_kinds(look, d):
    told = ("unknown permission", "principals must be a list of strings", "/permissions must be an object")
    if not (d.is_told and look.ref.status == 400 or d.is_status and d.pair == (200, 400)):
        return False
    return any("JSON Patch operation failed: " + t in str(look.bodies[1]) for t in told)


def paged_deletes(look):
    """Lists whose objects were deleted page by page, without a filter."""
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            path = plain(part.path)
            if part.method == "DELETE" and len(path.split("/")) % 2 == 0 and all(n.startswith("_") for n in part.names):
                yield path


@rule("rights after a page", "Permissions", "a plural DELETE that ends with its page takes nothing from the objects that are left; the reference wipes "
      "the permissions of the whole list, unless there is a filter")
def rights_after_a_page(look, d):
    lists = list(paged_deletes(look))
    if lists and look.answered_path.rstrip("/") == "/v1/permissions":
        return of_a_list(look, d)
    return any(touches(plain(p.path), above) for above in lists for p in look.parts) and (
        of_a_list(look, d) or d.is_status or d.where.startswith("body" if d.part is not None else "body.permissions"))


@rule("permissions in full", "Permissions", "the ETag of /permissions never changes, so preconditions mean nothing there")
def permissions_in_full(look, d):
    return look.answered_path.rstrip("/") == "/v1/permissions" and look.statuses == (304, 200) \
        and look.any_part(lambda p: "if-none-match" in p.headers and p.path.endswith("/permissions"))


def erases(part):
    return part.method == "DELETE" and "/__user_data__/" in part.path


def groups_before(look):
    """Was a bucket deleted that had groups with members?"""
    touched = set()
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            steps = plain(part.path).split("/")
            if "groups" in steps and part.stores and "members" in json.dumps(part.body):
                touched.add(steps[2])
            if part.method == "DELETE" and touched and (
                    steps[1:] == ["buckets"] or len(steps) == 3 and steps[2] in touched or erases(part)):
                return True
    return False


@rule("members of deleted buckets", "Permissions", "when a bucket is deleted, the memberships of its groups end; in the reference they stay")
def memberships(look, d):
    if not groups_before(look):
        return False
    if d.where.endswith("user.principals[] length"):
        return set(d.our) < set(d.ref)
    if d.where.startswith("body.permissions"):
        return d.our == "(absent)"
    return d.is_status and d.our in (401, 403) and d.ref not in (401, 403) or of_a_list(look, d)


@rule("patch of unseen permissions", "Permissions", "a JSON or merge patch by a user who may not see the object's permissions: the reference "
      "applies it to an empty mapping and so wipes what others were given; here it adds")
def unseen_permissions(look, d):
    if not patches(look.request, look.target) or look.ref.status != 200 or look.our.status != 200:
        return False
    if d.is_length:
        return look.is_batch
    if d.where.startswith("body.permissions.") and d.where.endswith("[] length"):
        return set(d.ref) < set(d.our)
    return d.where.startswith("body.permissions.") and d.ref == "(absent)"


# -- Erasing a principal

def erased_before(look):
    return any(erases(part) for request in look.so_far for part in parts_of(request, request["target"]))


@rule("members after an erasure", "Erasing a principal", "groups that held the principal are updated; the reference leaves it in what they say")
def members_after_erasure(look, d):
    return "/groups" in look.asked.path and erased_before(look)


@rule("order of an erasure", "Erasing a principal", "objects of one list are deleted from the oldest to the newest; in the reference in any order")
def erasure_order(look, d):
    if not d.where.startswith("body.data[]") or not erased_before(look):
        return False
    ref, our = ([(o.get("id"), o.get("deleted")) for o in body["data"]] for body in look.bodies)
    return sorted(ref, key=str) == sorted(our, key=str) and any(deleted for _, deleted in our)


# -- Privacy

@rule("412 of the unreadable", "Privacy", "the reference shows the object in details.existing to users who may not read it")
def leak(look, d):
    shown = d.is_status or d.is_length or d.where.startswith(("body", "header etag", "header last-modified"))
    if not shown or look.statuses[0] != 412 or not d.is_length and d.our not in ("(absent)", None, 401, 403):
        return False
    alias = "/buckets/default" in look.answered_path and b'"id":"default"' not in look.ref.body.replace(b" ", b"")
    return not alias and look.forbidden()  # who asks for the alias makes a bucket


# -- CORS

ALLOWED, EXPOSED = "header access-control-allow-origin", "header access-control-expose-headers"


def names(value):
    value = value.split(",") if isinstance(value, str) else value or ()
    return {v.strip().lower() for v in value}


def exposes_more(d):
    return d.where == EXPOSED and names(d.ref) <= names(d.our)


@rule("more exposed", "Headers", "307 and 405 of aliases and batches may name more in Access-Control-Expose-Headers")
def more_exposed(look, d):
    return exposes_more(d) and look.ref.status in (307, 405) and ("/buckets/default" in look.path or look.is_batch)


def details(body):
    return [(d.get("location"), d.get("name"), d.get("description")) for d in body.get("details") or ()]


@rule("only the origin", "CORS", "an origin that may not call is told only that")
def only_the_origin(look, d):
    if not (d.is_length or d.where.startswith("body.")):
        return False
    try:
        told, ours = map(details, look.bodies)
    except (TypeError, AttributeError):
        return False
    return len(ours) == 1 and ours[0][:2] == ("header", "Origin") and ours[0][2].endswith(" not allowed") and ours[0] in told


@rule("CORS of the default bucket", "CORS", "the 401 of /buckets/default may be read by pages, and every answer below it exposes what the endpoint exposes")
def default_cors(look, d):
    below = "/buckets/default" in look.path or look.is_batch and "/buckets/" in look.answered_path
    if not below or not look.any_part(lambda p: p.in_default):
        return False
    if look.ref.status == 401 and d.where in (ALLOWED, EXPOSED):
        return (d.ref if d.where == ALLOWED else d.our) is None
    return exposes_more(d)


@rule("patterns of origins", "CORS", "a pattern in cors_origins counts for every answer; in the reference not outside of endpoints")
def origin_patterns(look, d):
    sent = [value for name, value in look.headers if name.lower() == "origin"] + [p.headers.get("origin") for p in look.parts]
    return d.where == ALLOWED and d.ref is None and look.statuses[1] in (200, 307, 400, 404, 405) and d.our in sent


@rule("Vary", "CORS", "an answer that depends on Origin says so to caches")
def vary(look, d):
    return d.where == "header vary" and d.pair == (None, "Origin")


@rule("Vary of what could be compressed", "Headers", "the same body may come compressed; so do a HEAD and a 304 say")
def vary_of_gzip(look, d):
    return d.where == "header vary" and d.pair in ((None, "Accept-Encoding"), (None, "Origin, Accept-Encoding"))
