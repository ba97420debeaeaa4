/*
 * plugins/metrics.h - what the plugins share that tell of requests by labels (prometheus, statsd).
 */
#ifndef PLUGINS_METRICS_H
#define PLUGINS_METRICS_H

#include "api/api.h"

str metrics_method(enum api_method m); /* "get"; "other" for those that HTTP does not know here */

/* What the path of a request says under a name of kinto.metrics_matchdict_fields: "bucket_id" the
 * bucket, "record_id" the record, ..., "id" the object asked for. Empty: nothing. */
str metrics_field(const struct api_finished *f, str name);

#endif
