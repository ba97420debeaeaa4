/*
 * plugins/series.h - counters under names that requests bring along ("series"), for who counts them.
 *
 * A table finds the series of a key, any bytes, and makes it when it is seen for the first time. A
 * series is a row of numbers ("cells") that only grow. It lives as long as the table, and a table
 * takes so many and no more. Keys that strangers choose do not take the place of others.
 *
 * Any thread. Finding a series and adding to it take no lock and no memory; only making one does. The
 * cells are there several times over, so that threads do not fight for them; a reader adds them up.
 * Cells that belong together may be read while a writer is between them.
 */
#ifndef PLUGINS_SERIES_H
#define PLUGINS_SERIES_H

#include "base/str.h"

struct series;
struct series_table;

enum series_kind { SERIES_KNOWN, SERIES_CHOSEN }; /* chosen: by a stranger */

/* For at most so many series, of `cells` numbers (1 or more) each. NOMEM. */
MUST_CHECK enum err series_table_new(struct series_table **out, size_t max_known, size_t max_chosen,
                                     size_t cells);
void series_table_free(struct series_table *t); /* NULL: nothing */

/* The kind is that of a series that has to be made. NULL: all of the kind are taken, or there is no
 * memory. */
struct series *series_get(struct series_table *t, str key, enum series_kind kind);
void series_add(const struct series_table *t, struct series *s, size_t cell, uint64_t n);

/* The first one that was made (s NULL), and the one that was made after s; NULL: none yet. */
const struct series *series_next(const struct series_table *t, const struct series *s);
str series_key(const struct series *s);
int64_t series_made_ms(const struct series *s); /* wall clock */
uint64_t series_sum(const struct series_table *t, const struct series *s, size_t cell);

#endif
