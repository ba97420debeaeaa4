/*
 * engine/replay.c - frames of the log into the index of an engine that nobody uses yet: recovery
 * makes the index anew with it, the check a second one to hold the first against, and the repair one
 * of what is left.
 *
 * What was replayed belongs to one transaction of the tree until it is published. That happens at the
 * end, and whenever it made so many pages that a checkpoint pays: then a checkpoint puts them
 * into the index file.
 */
#include "engine/private.h"

static enum err replay_op(struct engine *e, const struct ops *o)
{
    struct value_ref link = o->value;
    uint64_t count;
    bool found;

    switch ((enum op)o->op) {
    case OP_PUT:
        return apply_put(e, o->key, &o->value);
    case OP_LINK:
        link.kind |= VALUE_LINK;
        return apply_put(e, o->key, &link);
    case OP_DEL:
        return apply_del(e, o->key, &found);
    case OP_DELPREFIX:
        return apply_del_prefix(e, o->key, &count);
    case OP_TRIM:
        e->writer.now.first = MAX_OF(e->writer.now.first, (uint64_t)o->number);
        if (o->number >= e->index.unproven)
            e->index.unproven = 0;
        return OK;
    }
    return ERR_CORRUPT;
}

enum err replay_frame(struct engine *e, const struct frames *f, const struct frame_header *h)
{
    struct ops o;
    enum err err = OK;

    ops_begin(&o, f, f->at, h);
    while (err == OK && ops_more(&o)) {
        err = ops_next(&o);
        if (err == ERR_CORRUPT)
            return frames_damage(f, (uint64_t)(o.at - o.base), "operation that makes no sense");
        if (err == OK)
            err = replay_op(e, &o);
    }
    if (err != OK)
        return err;
    e->writer.now.last = LOGPOS(f->number, f->at);
    e->writer.now.log_bytes += FRAME_HEADER_BYTES + h->bytes;
    return OK;
}

bool replay_gave_up(const struct engine *e, uint64_t first)
{
    for (uint64_t n = e->log.first; e->writer.now.first != first && n < e->writer.now.first; n++) {
        const struct segment *seg = log_segment(&e->log, (uint32_t)n);
        if (seg != NULL && seg->cells > 0)
            return true;
    }
    return false;
}

void replay_publish(struct engine *e, const struct frames *f)
{
    struct writer *w = &e->writer;

    pages_commit(&e->pages, w->tree.txn);
    w->now.txn = f->txn;
    w->now.root = w->tree.root;
    w->now.depth = w->tree.depth;
    w->now.keys = w->tree.keys;
    w->now.live_value_bytes = w->live_value_bytes;
    w->now.live_log_bytes = w->live_log_bytes;
    w->now.tail = LOGPOS(f->number, f->at);
    w->now.link = f->link;
    w->now.segments = f->number + 1 - e->log.first;
    w->now.free_pages = pages_free_count(&e->pages);
    w->now.pages = e->pages.next - PAGE_FIRST - w->now.free_pages;
    version_publish(&e->published, &w->now);
    apply_durable(e, f->txn);
    w->tree.txn = f->txn + 1;
}

enum err replay_relieve(struct engine *e, const struct frames *f)
{
    if (!checkpoint_pays(e))
        return OK;
    replay_publish(e, f);
    return checkpoint_run(e);
}
