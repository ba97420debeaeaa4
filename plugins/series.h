/*
 * plugins/series.h - counters under names that requests bring along ("series"), for who counts them.
 *
 * A table finds the series of a key, any bytes, and makes it when it is seen for the first time. A
 * series is a row of numbers ("cells") that only grow. It lives as long as the table, and a table
 * takes so many and no more: strangers choose some of the keys.
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

/* For at most `max` series of `cells` numbers (1 or more) each. NOMEM. */
MUST_CHECK enum err series_table_new(struct series_table **out, size_t max, size_t cells);
void series_table_free(struct series_table *t); /* NULL: nothing */

/* `most`: it is made only while there are fewer than so many series. NULL: they are all taken, or there
 * is no memory. */
struct series *series_get(struct series_table *t, str key, size_t most);
void series_add(const struct series_table *t, struct series *s, size_t cell, uint64_t n);

/* The first one that was made (s NULL), and the one that was made after s; NULL: none yet. */
const struct series *series_next(const struct series_table *t, const struct series *s);
str series_key(const struct series *s);
int64_t series_made_ms(const struct series *s); /* wall clock */
uint64_t series_sum(const struct series_table *t, const struct series *s, size_t cell);

#endif
