"""What is stored, and what is asked: the same for all contestants, and the same in every run.

A record of the collection is 300 bytes of JSON as it is sent, `id` and `last_modified` included.
"""
import base64
import json
import random
import uuid

BUCKET = "/v1/buckets/bench"
RECORDS = BUCKET + "/collections/records/records"
NEW = BUCKET + "/collections/new/records"
INDEXED = BUCKET + "/collections/indexed/records"  # the same records, where somebody has declared fields of them
AUTH = "Basic " + base64.b64encode(b"bench:secret").decode()
HEADERS = {"Authorization": AUTH, "Content-Type": "application/json"}
RECORD_BYTES = 300
GROUPS = 50  # in which records are
PART = 25  # of a batch: what servers take by default
WORDS = "alpha bravo carbon delta ember fjord glade harbor indigo juniper kernel lumen meadow nectar onyx".split()


def record_id(i):
    """Looks like what clients make (UUID 4), and is the same in every run."""
    return str(uuid.UUID(int=random.Random(i).getrandbits(128), version=4))


def record(i, turn=0):
    """The data of record i; `turn` makes another version of it."""
    dice = random.Random(i * 1000003 + turn)
    data = {"title": "Record number %d" % i, "rank": dice.randrange(1000000), "group": "g%02d" % (i % GROUPS),
            "done": dice.random() < 0.5, "tags": dice.sample(WORDS, 3), "text": ""}
    fixed = len(json.dumps(dict(data, id=record_id(i), last_modified=1700000000000), separators=(",", ":")))
    text = " ".join(dice.choice(WORDS) for _ in range(60))
    data["text"] = text[:max(0, RECORD_BYTES - fixed)]
    return data


def body(value):
    return json.dumps(value, separators=(",", ":"))


def batch(numbers, turn, into=RECORDS):
    """A batch that stores these records."""
    return body({"defaults": {"method": "PUT", "headers": {"Authorization": AUTH}},
                 "requests": [{"path": "%s/%s" % (into, record_id(i)), "body": {"data": record(i, turn)}}
                              for i in numbers]})
