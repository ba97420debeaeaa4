/*
 * plugins/metrics.c - the values of labels.
 */
#include "plugins/metrics.h"

str metrics_method(enum api_method m)
{
    switch (m) {
    case METHOD_HEAD:
        return STR("head");
    case METHOD_GET:
        return STR("get");
    case METHOD_POST:
        return STR("post");
    case METHOD_PUT:
        return STR("put");
    case METHOD_PATCH:
        return STR("patch");
    case METHOD_DELETE:
        return STR("delete");
    case METHOD_OPTIONS:
        return STR("options");
    case METHOD_OTHER:
        break;
    }
    return STR("other");
}

str metrics_field(const struct api_finished *f, str name)
{
    if (f->own_id && str_eq(name, STR("id")))
        return f->named[f->nnamed - 1].id;
    if (!str_ends(name, STR("_id")))
        return STR("");
    str kind = str_sub(name, 0, name.n - strlen("_id"));
    for (size_t i = 0; i < f->nnamed; i++)
        if (str_eq(kind, str_from(f->named[i].kind)))
            return f->named[i].id;
    return STR("");
}
