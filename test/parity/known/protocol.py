"""URLs · Headers · Batch · Default bucket · The description of the API · Settings · Identity"""

import re

from .look import parts_of, plain, touches
from .rule import rule


# -- URLs

@rule("semicolons", "URLs", "the parameters of a query are parted by & only; the reference also parts them by ;")
def semicolons(look, d):
    if look.is_batch or look.method not in ("GET", "HEAD"):
        return look.any_part(lambda p: ";" in p.query)
    return ";" in look.query and not look.left_of(look.query.replace(";", "%3B"))


@rule("raw bytes in a URL", "URLs", "bytes beyond ASCII that are not percent-encoded: the reference's web server refuses the request; here they are UTF-8")
def raw_bytes(look, d):
    refused = look.ref.status == 400 and b"waitress" in look.ref.body + (look.ref.get("server") or "").encode()
    return refused and not look.target.isascii() and look.our.status < 500


@rule("fragment in a URL", "URLs", "a # does not belong in a request; the reference cuts it off")
def fragment(look, d):
    return "#" in look.target and look.our.status == 400


@rule("slash in a segment", "URLs", "%2F at the beginning of a path is part of the first segment")
def first_slash(look, d):
    return look.path.startswith("/%2F") and look.our.status < 500


@rule("method in lower case", "URLs", "the reference's web server refuses methods that are not in capitals; here they are methods that no endpoint has")
def small_method(look, d):
    return not look.method.isupper() and look.ref.status == 400 and 400 <= look.our.status < 500


# -- Headers

@rule("nosniff of 410", "Headers", "the 410 after the end of service has X-Content-Type-Options, as all answers do")
def gone(look, d):
    return look.ref.status == 410 and d.where == "header x-content-type-options" and d.pair == (None, "nosniff")


# -- Batch

@rule("too many parts", "Batch", "a batch with too many requests is told only that")
def too_many_parts(look, d):
    message = re.match(rb'.*"message":"Number of requests is limited to (\d+)"', look.our.body, re.S)
    return look.ref.status == look.our.status == 400 and bool(message) and len(look.request["json"]["requests"]) > int(message.group(1)) \
        and d.where.startswith("body.")


def late_effects(request):
    """The numbers of the parts of a batch that would notice what parts before them have done, and the reference only does
    at the end."""
    done = []
    for number, part in enumerate(parts_of(request, request["target"])):
        path = plain(part.path)
        if any(touches(path, above) or touches(above, path) for above in done):
            yield number
        steps = path.split("/")
        if part.method == "DELETE" and len(steps) <= 5 and "records" not in steps:
            done.append(path)
        if part.method not in ("GET", "HEAD") and ("groups" in steps or path == "/__flush__"):
            done.append("/buckets")


@rule("effects in a batch", "Batch", "a part of a batch sees the effects of those before it; the reference runs cascades and group membership at the end")
def batch_effects(look, d):
    return d.part is not None and d.part >= next(late_effects(look.request), len(look.parts))


@rule("redirected part", "Batch", "a part that was redirected and then fails has the ordinary form of error; the reference answers errno 999")
def redirected_part(look, d):
    if d.part is None:
        return False
    body, headers = look.bodies[0], look.answered_headers
    bare = (look.statuses[0] or 0) >= 400 and look.asked.path.endswith("/") \
        and set(headers) <= {"Content-Length", "Content-Type", "ETag", "Last-Modified", "Allow"}
    return bare or isinstance(body, dict) and body.get("errno") == 999


@rule("several challenges", "Batch", "a header that an answer has several times is joined by commas in a part; the reference keeps the last")
def several_challenges(look, d):
    return d.part is not None and d.where == "header www-authenticate" and str(d.our).split(", ")[-1] == d.ref


# -- Default bucket

@rule("failed part of the default bucket", "Batch", "the headers of failed parts below /buckets/default are those of other answers")
def failed_default_part(look, d):
    return d.part is not None and d.where.startswith("header ") and look.asked.in_default and (look.statuses[0] or 0) >= 400


@rule("id like the collection's", "Default bucket", "a PUT of what is called like its collection makes the collection, too; the reference takes it for a PUT of "
      "the collection, and then misses it")
def named_like_collection(look, d):
    def misses(p):
        names = plain(p.path).split("/")
        return p.method == "PUT" and names[1:4] == ["buckets", "default", "collections"] and len(names) > 5 and names[-1].endswith(names[4])
    return d.is_status and d.ref == 404 and look.any_part(misses)


@rule("kind of id", "Default bucket", "an invalid id under /buckets/default is called that of a collection, or of an object; 403, 406 and 415 come before it")
def kind_of_id(look, d):
    told = ("Invalid collection id", "Invalid object id")
    if "/buckets/default/collections/" not in look.asked.path:
        return False
    if d.is_status:
        return d.pair in ((400, 406), (400, 415), (400, 403)) and told[0].encode() in look.ref.body
    if "%" in look.asked.path and told[0].encode() in look.ref.body:  # not the collection itself, for the reference
        return look.statuses[1] == 400 and d.where.startswith(("body.message", "body.details")) or d.is_length
    return d.is_told and look.statuses[1] == 400 and all(str(v).endswith(told) for v in d.pair)


# -- The description of the API

def of_description(look):
    return look.any_part(lambda p: p.path.rstrip("/").endswith("/__api__"))


@rule("own description", "The description of the API", "its texts and schemas are our own, so it has another length")
def own_description(look, d):
    return d.is_length and of_description(look)


@rule("refused, not described", "The description of the API", "what a read-only server refuses is not in it")
def not_described(look, d):
    return d.our == "(absent)" and d.where.endswith(("body.paths./batch", "body.tags.Batch", "body.paths./__flush__", "body.tags.Flush"))


@rule("metrics, described", "The description of the API", "the endpoint of a plugin is in it")
def metrics_described(look, d):
    return d.where.endswith("body.paths./__metrics__") and of_description(look)


@rule("conditions of /permissions", "The description of the API", "/permissions has no If-Match and If-None-Match, which mean nothing there")
def unconditional(look, d):
    return "body.paths./permissions." in d.where and d.where.endswith(".parameters[] length") and \
        set(d.ref) - set(d.our) == {"header If-Match", "header If-None-Match"} and set(d.our) < set(d.ref)


@rule("host of the description", "The description of the API", "`host` is that of the request; the reference keeps that of the first one")
def host_of_description(look, d):
    return d.where == "body.host" and of_description(look)


@rule("policies of accounts", "The description of the API", "securityDefinitions names every policy in force, by its own name")
def described_policies(look, d):
    if d.where.endswith("body.securityDefinitions.account"):
        return d.pair == ("(absent)", {"type": "basic"})
    return "body.paths./" in d.where and d.where.endswith(".security[] length") and [s for s in d.our if s != {"account": []}] == d.ref


# -- Settings, Identity

@rule("empty number", "Settings", "an empty value of a number is as if the line were absent")
def empty_number(look, d):
    return d.where == "header access-control-max-age" and d.pair == (None, "3600")


@rule("contribute.json", "Identity", "each project names itself")
def contribute(look, d):
    return look.answered_path == "/v1/contribute.json" and look.our.status == look.ref.status == 200 \
        and (d.is_length or d.where.startswith("body."))
