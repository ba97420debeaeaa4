"""Filters · Pages"""

import json
import re
from urllib.parse import unquote

from .rule import rule


def of_a_list(look, d):
    """Is it about which objects a list has? A DELETE moves the clock only when there are some."""
    clock = ("header etag", "header last-modified") if look.any_part(lambda p: p.method == "DELETE") else ()
    return ".data[]" in d.where or d.is_length or d.where.endswith(("total-objects", "total-records", "next-page") + clock)


def filters(look, prefix):
    return look.any_part(lambda p: any(name.startswith(prefix) for name in p.names))


def shared_subset(look):
    """A list of a user who may not read all of it: ours shows no more than the reference."""
    if look.method == "HEAD":
        return True
    try:
        names = look.comparison.context.ids
        theirs, ours = ({o["id"] for o in body["data"]} for body in look.bodies)
        return {names.get(name, name) for name in ours} < theirs
    except (KeyError, TypeError):
        return False


@rule("has_ filter", "Filters", "in the reference has_ cancels the filters before it (also the one that hides what is not shared)")
def has_filter(look, d):
    if not filters(look, "has_"):
        return False
    if look.is_batch or look.method not in ("GET", "HEAD") or "_limit" in look.target:
        return of_a_list(look, d)
    if d.where == "header next-page" and d.our is None:
        return True
    pieces = look.query.split("&")
    ordered = sorted(pieces, key=lambda piece: not piece.startswith("has_"))
    return ordered != pieces and not look.left_of("&".join(ordered)) or shared_subset(look)


@rule("in_ and truth", "Filters", "in the reference in_x=1 also matches true, in_x=false also 0")
def in_and_truth(look, d):
    mixed = re.compile(r"(^|[?&])(in|exclude)_[^=]*=[^&]*(true|false|0|1)")
    return of_a_list(look, d) and look.any_part(lambda p: mixed.search(p.query))


def one_for_true(value):
    """Is it a list, or an object, with something in it that is 0 or 1?"""
    return isinstance(value, (list, dict)) and re.search(r"(?<![\w.])[01](\.0)?(?![\w.])", json.dumps(value)) is not None


@rule("true in lists", "Filters", "in the reference [1] is equal to [true]")
def true_in_lists(look, d):
    def compares(p):
        for piece in p.query.split("&"):
            try:
                if one_for_true(json.loads(unquote(piece.partition("=")[2]))):
                    return True
            except ValueError:
                pass
        return False
    return of_a_list(look, d) and look.any_part(compares)


@rule("like and line feeds", "Filters", "the pattern of like_ also matches line feeds; the reference's stops at them")
def like_lines(look, d):
    return of_a_list(look, d) and filters(look, "like_") and "\\n" in json.dumps([r.get("json") for r in look.earlier])


@rule("page of a DELETE", "Pages", "the next page of a plural DELETE goes on behind the last object in the order that was asked for; in the reference "
      "the token has lost the fields with the object")
def page_of_delete(look, d):
    return look.method == "DELETE" and "_token=" in look.query and "_sort=" in look.query and look.our.status == 200


@rule("deleted by name", "Pages", "an object whose own data says deleted: true is counted, as it is shown; the reference does not count it")
def deleted_by_name(look, d):
    return d.where.endswith(("total-objects", "total-records")) and look.said('"deleted": true')
