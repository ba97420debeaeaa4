"""Requests that profiles with kinto.plugins.accounts are asked beside the others: signing up, logging in, new passwords.

Under such a profile (`accounts` is set) "account" is one more kind of object (/v1/accounts), alice, bob and the administrator
sign up first, with the password that every user has, and carol remains a user of basicauth. Accounts of different names are
in different lists in the reference, so that their clocks are: a tag or a time of one of them is used for that one only.
"""

import base64

LIST = "/v1/accounts"
ADMIN = "admin"
OWNERS = ("alice", "bob")
NAMES = OWNERS + (ADMIN, "x+1@b.example", "dave", "A.b_c-d", "0")
BAD_NAMES = ("a%20b", "_a", "-a", ".a", "@a", "+a", "a%2Fb", "a:b", "a,b", "%C3%A9", "%00", "a%00", "a%0A", "a" * 300, "a;b", "~a", "..", "*")
BAD_BODY_NAMES = (1, None, "", "a b", "_a", "a/b", "é", True, [], {}, 1.5, "a" * 300, "*", "a:b")
PASSWORDS = ("pw", "other", "é", "x" * 72, "a:b", " ")
BAD_PASSWORDS = (None, "", 5, 1.5, True, [], {}, ["a"], {"a": 1}, "x" * 73, "é" * 40, "a\u0000b", "\u0000", -0.0)


def credentials(user, password):
    return "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def clock_of(plural, target):
    """What a time is a time of: of accounts each has its own."""
    return target.split("?")[0] if plural == LIST and target else plural


class AccountRequests:
    """A part of Generator."""

    def account_setup(self):
        self.live[LIST] = {}
        for name in OWNERS + (ADMIN,):
            if self.chance(0.93):
                self.add("PUT", "%s/%s" % (LIST, name), None if self.everyone else ADMIN, [], LIST, json={"data": {"password": "pw"}})
                self.live[LIST][name] = name

    @property
    def everyone(self):
        return "system.Everyone" in self.profile.settings.get("kinto.account_create_principals", "")

    def account_name(self):
        r = self.rng.random()
        if r < 0.06:
            return self.pick(BAD_NAMES)
        if r < 0.12:
            return self.carol
        return self.pick(NAMES)

    @property
    def carol(self):
        """What would be the name of an account of this user of basicauth."""
        return next(p for p in self.principals if p.startswith("basicauth:")).partition(":")[2]

    def password(self):
        return "pw" if self.chance(0.75) else self.pick(PASSWORDS) if self.chance(0.7) else self.pick(BAD_PASSWORDS)

    def account_data(self, data):
        if self.chance(0.85):
            data["password"] = self.password()
        return data

    def do_sign_up(self):
        name = self.account_name()
        data = self.account_data(self.data())
        user = None if self.chance(0.7) else self.user()
        body = {"data": data}
        if self.chance(0.2):
            body["permissions"] = self.permissions("account")
        if self.chance(0.06):
            body = self.pick((None, [], {}, 1, "x", {"data": None}, {"data": []}, {"data": [1]}, {"data": "x"}, {"permissions": {}}, {"data": {"id": name}}))
        if self.chance(0.5):
            target = "%s/%s" % (LIST, name)
            self.add("PUT", target, user, self.headers("PUT", LIST, 0.1, target), LIST, json=body)
        else:
            if isinstance(body, dict) and isinstance(body.get("data"), dict) and self.chance(0.9):
                body["data"]["id"] = name if self.chance(0.85) and "%" not in name else self.pick(BAD_BODY_NAMES)
            self.add("POST", LIST, user, self.headers("POST", LIST, 0.05), LIST, json=body)
        if self.chance(0.4):
            self.add("GET", self.pick((LIST, "/v1/", "%s/%s" % (LIST, name))), name if "%" not in name else "alice", [], LIST)

    def do_log_in(self):
        """Somebody with the right password, or another one, looks at something."""
        name = self.pick(NAMES)
        given = self.pick(("pw", "pw", "wrong", "", "other", "PW", "pw ", "pw\u0000", "x" * 72, "x" * 100, "é", ":"))
        target = self.pick(("/v1/", "/v1/", LIST, "%s/%s" % (LIST, name), "/v1/buckets", "/v1/buckets/b-1", "%s/%s" % (LIST, self.pick(NAMES))))
        user = self.pick((name, name, name, name.upper(), "account:" + name, "", "a b", " " + name, "é", "*", "%s/%s" % (name, name)))
        self.add(self.pick(("GET", "GET", "GET", "HEAD", "PUT")), target, None, [["Authorization", credentials(user, given)]], None)

    def do_new_password(self):
        name = self.pick(OWNERS)
        target = "%s/%s" % (LIST, name)
        by = name if self.chance(0.7) else ADMIN
        method = self.pick(("PUT", "PATCH", "PATCH"))
        self.add(method, target, by, [], LIST, json={"data": {"password": "new"}})
        for password in self.rng.sample(("pw", "new", "wrong"), 2):
            self.add("GET", self.pick(("/v1/", target, LIST)), None, [["Authorization", credentials(name, password)]], None)
        if self.chance(0.9):
            self.add(method, target, None, [["Authorization", credentials(name, "new")]], LIST, json={"data": {"password": "pw"}})
            self.add("GET", "/v1/", name, [], None)

    def do_accounts_list(self):
        user = self.pick((ADMIN, ADMIN, "alice", "bob", "carol", None))
        query = self.pick(("", "", "_fields=id", "_fields=password", "_fields=id,n,password", "id=alice", "id=bob", "in_id=alice,bob", "_sort=id", "_sort=-id",
                           "_limit=1&_sort=id", "_limit=2&_sort=-n,id", "has_password=true", "has_password=false", "exclude_id=alice", "like_id=a",
                           "_since=0", "_since=0&deleted=true", "deleted=true", "n=1", "not_n=1", "_limit=0", "like_password=2b"))
        first = self.add(self.pick(("GET", "GET", "GET", "HEAD")), LIST + ("?" + query if query else ""), user, [], LIST)
        if "_limit" in query:
            for _ in range(self.pick((1, 3))):
                self.add("GET", "⟨next:%d⟩" % first["id"], user, [], LIST)

    def do_accounts_delete(self):
        user = self.pick((ADMIN, "alice", "bob", "carol", None))
        query = self.pick(("?id=bob", "?in_id=dave,0", "?id=alice", "?n=1", "?_limit=1&_sort=id", "", "?has_n=true"))
        self.add("DELETE", LIST + query, user, [], LIST)
        for name in OWNERS + (ADMIN,):
            if self.chance(0.9):
                self.add("PUT", "%s/%s" % (LIST, name), None if self.everyone else ADMIN, [], LIST, json={"data": {"password": "pw"}})

    def do_accounts_batch(self):
        """Parts with credentials of their own."""
        parts = []
        for _ in range(self.pick((1, 2, 3, 4))):
            name = self.pick(NAMES)
            method = self.pick(("GET", "PUT", "POST", "PATCH", "GET"))
            part = {"method": method, "path": LIST if method == "POST" else "%s/%s" % (self.pick((LIST, "/accounts")), name)}
            if method != "GET":
                data = self.account_data({"n": self.pick((1, "a"))})
                if data.get("password", "pw") not in PASSWORDS:
                    data["password"] = "pw"
                part["body"] = {"data": dict(data, id=name) if method == "POST" else data}
            elif self.chance(0.4):
                part["path"] = self.pick(("/", "/v1/accounts", "/buckets", "/permissions" if self.by_id else "/"))
            if self.chance(0.6):
                part["headers"] = {"Authorization": self.pick((credentials(name, "pw"), credentials(name, "wrong"), credentials("carol", "pw"), credentials(ADMIN, "pw"), ""))}
            parts.append(part)
        self.add("POST", "/v1/batch", self.user() if self.chance(0.6) else None, [], None, json={"requests": parts})

    ACCOUNT_WEIGHTS = (("sign_up", 14), ("log_in", 14), ("new_password", 4), ("accounts_list", 12), ("accounts_delete", 1.5), ("accounts_batch", 8))
