"""Profiles: the settings that both servers are started with, and what the generator leans to under each.

`settings` goes into [app:main] on top of BASE. `users` are weights of (anonymous, alice, bob, carol), with `accounts` also of an administrator.
`lean` multiplies the weights of the generator's request kinds. With `metrics`, /v1/__metrics__ is compared behind the
last request (metrics.py). `accounts`: the generator asks for accounts, too.
"""

BASE = {
    "use": "egg:kinto",
    "kinto.includes": "kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.counters",
    "kinto.storage_backend": "kinto.core.storage.memory",
    "kinto.cache_backend": "kinto.core.cache.memory",
    "kinto.permission_backend": "kinto.core.permission.memory",
    "kinto.userid_hmac_secret": "parity-secret",
    "kinto.experimental_permissions_endpoint": "true",
    "kinto.project_version": "1.0",  # each server has its own
    "multiauth.policies": "basicauth",
}


HISTORY = {"kinto.includes": BASE["kinto.includes"] + " kinto.plugins.history"}

# Hashes are cheap: in the reference by cheap/sitecustomize.py, since it has no such setting.
ACCOUNTS = {
    "kinto.includes": "kinto.plugins.accounts kinto.plugins.default_bucket kinto.plugins.flush",
    "multiauth.policies": "account basicauth",
    "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy",
    "kinto.account_create_principals": "system.Everyone",
    "kinto.account_write_principals": "account:admin",
    "kinto.account_password_cost": "4",
}


class Profile:
    def __init__(self, settings=None, users=(2, 10, 4, 2), lean=None, accounts=False, metrics=False):
        self.settings = dict(BASE, **(settings or {}))
        self.users = users
        self.lean = lean or {}
        self.accounts = accounts
        self.metrics = metrics


PROFILES = {
    "default": Profile(),
    "paginate": Profile(
        {"kinto.paginate_by": "5", "kinto.storage_max_fetch_size": "8"},
        lean={"list": 3, "chain": 6, "plural_delete": 2, "many": 8}),
    "readonly": Profile({"kinto.readonly": "true", "kinto.root_cache_expires_seconds": "60"}, lean={"misc": 3}),
    "cache": Profile({
        "kinto.bucket_cache_expires_seconds": "10",
        "kinto.collection_cache_expires_seconds": "0",
        "kinto.record_cache_expires_seconds": "30",
        "kinto.b-2.record_cache_expires_seconds": "40",
        "kinto.b-1.c-2.record_cache_expires_seconds": "50",
        "kinto.group_cache_expires_seconds": "3600",
    }, users=(8, 8, 2, 1), lean={"share": 4}),
    "backoff": Profile({
        "kinto.backoff": "30",
        "kinto.retry_after_seconds": "7",
        "kinto.eos": "2999-01-01",
        "kinto.eos_message": "going away",
        "kinto.eos_url": "https://example.org/eos",
        "kinto.backoff_percentage": "100",
        "kinto.batch_max_requests": "4",
        "kinto.version_json_path": "no-such-file.json",
        "kinto.project_name": "A project",
        "kinto.project_version": "1.2",
        "kinto.project_docs": "https://example.org/docs",
        "kinto.error_info_link": "https://example.org/errors",
    }, lean={"misc": 3}),
    "explicit": Profile({
        "kinto.bucket_create_principals": "{alice} {bob}",
        "kinto.bucket_read_principals": "{carol}",
        "kinto.bucket_write_principals": "{bob}",
        "kinto.collection_create_principals": "{carol}",
        "kinto.collection_write_principals": "/buckets/b-1/groups/g-1",
        "kinto.group_create_principals": "{carol}",
        "kinto.group_read_principals": "system.Everyone",
        "kinto.record_create_principals": "{carol}",
        "kinto.record_read_principals": "system.Authenticated",
        "kinto.record_write_principals": "{bob}",
        "kinto.record_delete_principals": "{carol}",
        "kinto.permissions_read_principals": "system.Authenticated",
        "kinto.user-data_delete_principals": "{alice}",
    }, users=(3, 6, 5, 6), lean={"share": 2}),
    "erase": Profile({
        "kinto.user-data_delete_principals": "{alice} {bob}",
        "kinto.cors_origins": "https://a.example",
    }, users=(3, 8, 8, 6), lean={"erase": 25, "share": 2}),
    "implicit": Profile({"kinto.explicit_permissions": "false", "kinto.bucket_write_principals": "{alice}"},
                        users=(2, 10, 5, 2), lean={"share": 3}),
    "anonymous": Profile({
        "kinto.bucket_create_principals": "system.Everyone",
        "kinto.bucket_write_principals": "system.Everyone",
        "kinto.collection_create_principals": "system.Everyone",
    }, users=(20, 4, 2, 1)),
    "urls": Profile({
        "kinto.http_scheme": "https",
        "kinto.http_host": "kinto.example.org:8443",
        "kinto.cors_origins": "https://a.example https://*.b.example",
        "kinto.cors_max_age_seconds": "5",
        "kinto.trailing_slash_redirect_enabled": "false",
        "kinto.version_prefix_redirect_ttl_seconds": "60",
        "kinto.plural_group_delete_enabled": "false",
        "kinto.object_record_patch_enabled": "false",
        "kinto.object_collection_get_enabled": "false",
    }, lean={"misc": 4, "cors": 8, "chain": 3}),
    "rights": Profile({
        "kinto.paginate_by": "6",
        "kinto.bucket_read_principals": "{carol}",
        "kinto.group_write_principals": "{bob}",
        "kinto.record_create_principals": "/buckets/b-1/groups/g-1",
        "kinto.collection_create_principals": "system.Authenticated",
    }, users=(3, 6, 5, 5), lean={"rights": 25, "share": 3, "misc": 0.3, "cors": 0.3}),
    "generators": Profile({
        "kinto.record_id_generator": "kinto.core.storage.generators.UUID4",
        "kinto.bucket_id_generator": "kinto.views.RelaxedUUID",
        "kinto.group_id_generator": "kinto.views.NameGenerator",
        "kinto.id_generator": "kinto.views.NameGenerator",
    }, lean={"post": 4}),
    "uuids": Profile({
        "kinto.bucket_id_generator": "kinto.core.storage.generators.UUID4",
        "kinto.collection_id_generator": "kinto.core.storage.generators.UUID4",
    }, lean={"post": 4}),
    "redirects": Profile({
        "kinto.version_prefix_redirect_enabled": "false",
        "kinto.trailing_slash_redirect_ttl_seconds": "0",
        "kinto.experimental_permissions_endpoint": "false",
        "kinto.includes": "kinto.plugins.flush",
        "kinto.cors_max_age_seconds": "",
    }, lean={"misc": 6, "cors": 4}),
    "schemas": Profile({"kinto.experimental_collection_schema_validation": "true"}, users=(0, 10, 0, 0),
                       lean={"schemas": 120, "misc": 0, "cors": 0, "batch": 0, "chain": 0, "plural_delete": 0}),
    "history": Profile(dict(HISTORY), users=(2, 10, 4, 3), lean={"history": 45, "misc": 0.3, "cors": 0.3, "batch": 0.2}),
    # What is left out, and who reads it by the settings.
    "changes": Profile(dict(HISTORY, **{
        "kinto.explicit_permissions": "false",
        "kinto.history.exclude_resources": "/buckets/b-2/groups/g-1 /buckets/b-1/collections/c-2",
        "kinto.history.exclude_user_ids": "{carol}",
        "kinto.history_read_principals": "{bob}",
        "kinto.history_cache_expires_seconds": "60",
        "kinto.plural_history_delete_enabled": "false",
        "kinto.paginate_by": "4",
    }), users=(3, 10, 4, 4), lean={"history": 45, "misc": 0.3, "cors": 0.3, "batch": 0.2, "plural_delete": 0.2}),
    "metrics": Profile({
        "kinto.includes": BASE["kinto.includes"] + " kinto.plugins.prometheus",
        "kinto.prometheus_histogram_buckets": "0.001 5 2.5e3",
        "kinto.prometheus_max_series": "10000",
    }, lean={"misc": 3, "batch": 2}, metrics=True),
    "eos": Profile({"kinto.eos": "2020-01-01"}, lean={"misc": 4}),
    # Values that switch something off or are written in another way.
    "spellings": Profile({
        "readonly": "false",
        "explicit_permissions": "true",
        "kinto.batch_max_requests": "0",
        "kinto.paginate_by": "0",
        "kinto.storage_max_fetch_size": "9",
        "kinto.cors_origins": '["https://a.example", "https://*.b.example"]',
        "kinto.cors_max_age_seconds": "0",
        "kinto.trailing_slash_redirect_ttl_seconds": "-1",
        "kinto.version_prefix_redirect_ttl_seconds": "1.5",
        "kinto.http_host": "kinto.example.org:80",
        "kinto.project_name": "",
        "kinto.project_docs": "null",
        "kinto.eos": "1 January 2999",
        "kinto.eos_message": "",
        "kinto.http_api_version": '"1.20"',
        "kinto.bucket_create_principals": '["system.Authenticated", "nobody"]',
        "kinto.permissions_cache_expires_seconds": "12",
        "kinto.b_record_cache_expires_seconds": "8",
        "kinto.b-1.record_cache_expires_seconds": "2.5",
        "multiauth.policy.basicauth.realm": "Somewhere",
    }, users=(6, 8, 2, 1), lean={"misc": 4, "share": 3}),
    "accounts": Profile(ACCOUNTS, users=(4, 10, 6, 3, 5), accounts=True),
    # Only administrators make accounts, so these are users of basicauth.
    "managed": Profile(dict(ACCOUNTS, **{
        "kinto.account_create_principals": "",
        "kinto.account_write_principals": "account:admin {carol} {admin}",
        "kinto.account_read_principals": "{bob} account:alice system.Authenticated",
        "kinto.paginate_by": "5",
    }), users=(3, 8, 6, 4, 8), accounts=True),
    "closed": Profile({
        "kinto.cors_origins": "",
        "kinto.plural_bucket_post_enabled": "false",
        "kinto.plural_record_delete_enabled": "false",
        "kinto.plural_collection_get_enabled": "false",
        "kinto.plural_collection_head_enabled": "false",
        "kinto.object_group_get_enabled": "false",
        "kinto.object_group_put_enabled": "false",
        "kinto.object_bucket_patch_enabled": "false",
        "kinto.object_record_delete_enabled": "false",
        "kinto.plural_permissions_get_enabled": "false",
    }, lean={"misc": 4, "cors": 4, "rights": 2}),
}

LOGGING = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = ERROR
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain
[formatter_plain]
format = %(message)s
"""


def ini_text(profile, principals):
    lines = ["[server:main]", "use = egg:waitress#main", "host = 127.0.0.1", "port = %(http_port)s", "", "[app:main]"]
    for key, value in profile.settings.items():
        for user, principal in principals.items():
            value = value.replace("{%s}" % user, principal)
        lines.append("%s = %s" % (key, value))
    return "\n".join(lines) + "\n" + LOGGING
