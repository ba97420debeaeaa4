/*
 * plugins/quotas.h - what the files of kinto.plugins.quotas share.
 *
 *     quotas.c        the plugin: adds each change up, and judges it by the limits
 *     quotas_sums.c   what is counted, and where the sums are kept
 *     quotas_count.c  counting everything, at a start that finds no sums to believe
 */
#ifndef PLUGINS_QUOTAS_H
#define PLUGINS_QUOTAS_H

#include "store/store.h"

#define QUOTAS_NOTE "quotas" /* the notes' name */

struct sums { /* of a bucket, or of a collection; quotas.c says what must hold */
    uint64_t items, bytes;
};

/* For how much an object with that data counts. */
uint64_t quotas_size(str data);
/* "/buckets/b..." -> "/buckets/b" */
str quotas_bucket_uri(str uri);

/* Nothing was counted yet: zeros. CORRUPT; what the store answers. */
MUST_CHECK enum err quotas_sums_get(struct store_session *s, struct arena *a, str uri,
                                    struct sums *out);
MUST_CHECK enum err quotas_sums_put(struct store_session *s, str uri, const struct sums *sums);

/* Behind this the sums are right. Before the first request. */
MUST_CHECK enum err quotas_make_current(struct store *store, struct err_detail *d);

#endif
