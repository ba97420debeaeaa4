/*
 * base/list.h - intrusive doubly linked list (a ring with a head). The node lies in the element;
 * a node is in at most one list. No allocation. Not for concurrent use.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list_node {
    struct list_node *prev, *next;
};

static inline void list_init(struct list_node *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_push(struct list_node *head, struct list_node *node) /* at the end */
{
    DCHECK(head->prev != NULL); /* somebody has called list_init */
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list_node *node) /* the node is then a list of its own */
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}

static inline struct list_node *list_pop(struct list_node *head) /* the first, or NULL */
{
    struct list_node *n = head->next;
    if (n == head)
        return NULL;
    head->next = n->next;
    n->next->prev = head;
    n->prev = n->next = n;
    return n;
}

static inline struct list_node *list_pop_last(struct list_node *head) /* the last, or NULL */
{
    struct list_node *n = head->prev;
    if (n == head)
        return NULL;
    head->prev = n->prev;
    n->prev->next = head;
    n->prev = n->next = n;
    return n;
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_EACH(head, it)            for (struct list_node *it = (head)->next; it != (head); it = it->next)

#endif
