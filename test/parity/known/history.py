"""History"""

import json

from .look import parts_of, plain
from .lists import of_a_list
from .rule import rule


def asks_history(part):
    return plain(part.path).endswith("/history")


@rule("HEAD of history", "History", "HEAD counts the entries; the reference answers it like GET")
def counted(look, d):
    if look.asked.method != "HEAD" or not asks_history(look.asked):
        return False
    return d.where in ("header access-control-expose-headers", "header total-objects", "header total-records") \
        or d.is_length or d.where == "header next-page"


@rule("entry of a default bucket", "History", "the entry of a bucket or collection that a request makes on its way is there for it")
def made_on_the_way(look, d):
    if d.where == "body.objects.history":  # and stays, when the request fails
        return any("/buckets/default" in request["target"] for request in look.earlier)
    return look.asked.in_default and asks_history(look.asked) and (of_a_list(look, d) or d.where.startswith("header "))


def changing_batches(look):
    """Batches in which more than one part may have changed something."""
    for request in look.earlier:
        parts = list(parts_of(request, request["target"]))
        if request["target"].startswith("/v1/batch") and sum(p.method not in ("GET", "HEAD") for p in parts) > 1:
            yield request


@rule("history of a batch", "History", "entries come in the order of the changes, with the permissions of that moment; the reference groups them")
def of_a_batch(look, d):
    told = asks_history(look.asked) or "/snapshot/" in look.asked.path
    return told and any(changing_batches(look)) and (of_a_list(look, d) or d.where.startswith("body.data") or d.where.startswith("header "))



@rule("has_ and what is shared", "Filters", "has_ cancels the filter that hides what is not shared; entries that only one side shows have no ids to map")
def shared_entries(look, d):
    try:
        theirs, ours = (len(body["data"]) for body in look.bodies)
    except (KeyError, TypeError):
        return False
    return asks_history(look.asked) and of_a_list(look, d) and ours < theirs and any(n.startswith("has_") for n in look.asked.names)


@rule("HEAD of history with semicolons", "URLs", "parameters are parted by & only; and HEAD counts, which the reference's does not")
def semicolons(look, d):
    return look.asked.method == "HEAD" and asks_history(look.asked) and ";" in look.asked.query


@rule("deleted in a snapshot", "History", "a snapshot has no tombstones; the reference puts those in that were there before the time")
def tombstones(look, d):
    if "/snapshot/" not in look.asked.path or not d.where.startswith("body.data[]"):
        return False
    theirs, ours = look.bodies
    try:
        return [o for o in theirs["data"] if not o.get("deleted")] and len(ours["data"]) < len(theirs["data"]) or not ours["data"]
    except (KeyError, TypeError):
        return False
