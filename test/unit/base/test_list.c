/* Intrusive lists: what is in one, from both ends, after each change. */
#include "test/support/unit.h"

#include "base/list.h"

struct item {
    int number;
    struct list_node node;
};

/* The list has these, whichever way one goes round it. */
static void has(const struct list_node *head, const struct item *const *want, size_t n)
{
    const struct list_node *forth = head->next, *back = head->prev;

    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(forth, &want[i]->node);
        ck_assert_ptr_eq(back, &want[n - 1 - i]->node);
        forth = forth->next;
        back = back->prev;
    }
    ck_assert_ptr_eq(forth, head);
    ck_assert_ptr_eq(back, head);
    ck_assert_int_eq(list_empty(head), n == 0);
}

static void is_alone(const struct item *it)
{
    ck_assert_ptr_eq(it->node.next, &it->node);
    ck_assert_ptr_eq(it->node.prev, &it->node);
}

#define HAS(...)                                                                                   \
    has(&head, (const struct item *const[]){__VA_ARGS__},                                          \
        sizeof((const struct item *const[]){__VA_ARGS__}) / sizeof(struct item *))

static struct list_node head;
static struct item a = {.number = 1}, b = {.number = 2}, c = {.number = 3};

static void fill(void)
{
    list_init(&head);
    has(&head, NULL, 0);
    list_push(&head, &a.node);
    list_push(&head, &b.node);
    list_push(&head, &c.node);
    HAS(&a, &b, &c);
}

START_TEST(pop_takes_the_first)
{
    fill();
    ck_assert_ptr_eq(list_pop(&head), &a.node);
    is_alone(&a);
    HAS(&b, &c);
    ck_assert_ptr_eq(list_pop(&head), &b.node);
    HAS(&c);
    ck_assert_ptr_eq(list_pop(&head), &c.node);
    has(&head, NULL, 0);
    ck_assert_ptr_null(list_pop(&head));
    has(&head, NULL, 0);
}
END_TEST

START_TEST(pop_last_takes_the_last)
{
    fill();
    ck_assert_ptr_eq(list_pop_last(&head), &c.node);
    is_alone(&c);
    HAS(&a, &b);
    ck_assert_ptr_eq(list_pop_last(&head), &b.node);
    HAS(&a);
    ck_assert_ptr_eq(list_pop_last(&head), &a.node);
    has(&head, NULL, 0);
    ck_assert_ptr_null(list_pop_last(&head));
    has(&head, NULL, 0);
}
END_TEST

START_TEST(remove_takes_any)
{
    fill();
    list_remove(&b.node);
    is_alone(&b);
    HAS(&a, &c);
    list_remove(&b.node); /* it is in none */
    HAS(&a, &c);
    list_push(&head, &b.node);
    HAS(&a, &c, &b);
}
END_TEST

START_TEST(each_sees_all_in_order)
{
    int seen = 0;

    fill();
    LIST_EACH(&head, it)
    {
        seen = seen * 10 + LIST_ENTRY(it, struct item, node)->number;
    }
    ck_assert_int_eq(seen, 123);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/list");
    TCase *tc = tcase_create("list");

    tcase_add_test(tc, pop_takes_the_first);
    tcase_add_test(tc, pop_last_takes_the_last);
    tcase_add_test(tc, remove_takes_any);
    tcase_add_test(tc, each_sees_all_in_order);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
