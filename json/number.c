/*
 * json/number.c - JSON numbers as text: exact comparison, range, conversion.
 *
 * A number is read as sign * 0.d1d2d3... * 10^(E + shift): the digits are those of the mantissa
 * from the first that is not zero (the point is skipped where it stands), E is the written exponent
 * with all its digits, shift counts how far the point was moved. Nothing is converted and nothing
 * is allocated, however long mantissa and exponent are; the cost is linear in the text.
 *
 * All functions expect what the parser accepted as a number.
 */
#include "base/map.h"
#include "json/private.h"

struct decimal {
    bool minus;
    const char *digits, *digits_end; /* from the first non-zero digit; equal: the number is zero */
    int64_t shift;
    bool exp_minus;
    const char *exp, *exp_end; /* digits without leading zeros; equal: no exponent */
};

/* E: the digits behind e or E. */
static void read_exponent(struct decimal *d, const char *p, const char *end)
{
    d->exp = d->exp_end = end;
    if (p == end)
        return;
    p++;
    if (p < end && (*p == '+' || *p == '-')) {
        d->exp_minus = *p == '-';
        p++;
    }
    while (p < end && *p == '0')
        p++;
    d->exp = p;
}

static struct decimal read_decimal(str s)
{
    struct decimal d = {0};
    const char *p = s.p, *end = s.p + s.n, *point;

    if (p < end && *p == '-') {
        d.minus = true;
        p++;
    }
    while (p < end && *p == '0')
        p++;
    d.digits = p;
    while (p < end && str_is_digit(*p))
        p++;
    d.shift = p - d.digits;
    if (p < end && *p == '.') {
        point = p++;
        if (d.digits == point) { /* 0.000123: the zeros behind the point move it to the right */
            while (p < end && *p == '0')
                p++;
            d.digits = p;
            d.shift = -(p - point - 1);
        }
        while (p < end && str_is_digit(*p))
            p++;
    }
    d.digits_end = p;
    read_exponent(&d, p, end);
    return d;
}

static bool is_zero(const struct decimal *d)
{
    return d->digits == d->digits_end;
}

/*
 * x's exponent minus y's, exact as long as it is below 10^17; beyond, only the sign and that it is
 * large are right. That is enough: shifts are lengths of texts. A difference of three or more in
 * the leading digits cannot be made up for by those that follow (each adds at most 18).
 */
static int64_t exponent_difference(const struct decimal *x, const struct decimal *y)
{
    const int64_t large = INT64_C(100000000000000000);
    size_t nx = (size_t)(x->exp_end - x->exp), ny = (size_t)(y->exp_end - y->exp);
    size_t n = MAX_OF(nx, ny);
    int64_t diff = 0;

    for (size_t i = n; i > 0; i--) {
        int dx = i <= nx ? x->exp[nx - i] - '0' : 0;
        int dy = i <= ny ? y->exp[ny - i] - '0' : 0;
        diff = diff * 10 + (x->exp_minus ? -dx : dx) - (y->exp_minus ? -dy : dy);
        if (diff > large || diff < -large)
            return diff > 0 ? large : -large;
    }
    return diff;
}

/* The next digit of the mantissa, or 0 behind its end. */
static char next_digit(const char **p, const char *end)
{
    if (*p < end && **p == '.')
        (*p)++;
    return *p < end ? *(*p)++ : '0';
}

static int compare_magnitude(const struct decimal *x, const struct decimal *y)
{
    const char *p = x->digits, *q = y->digits;
    int64_t diff;

    if (is_zero(x) || is_zero(y))
        return is_zero(y) - is_zero(x);
    diff = exponent_difference(x, y) + x->shift - y->shift;
    if (diff != 0)
        return diff < 0 ? -1 : 1;
    while (p < x->digits_end || q < y->digits_end) {
        char c = next_digit(&p, x->digits_end), d = next_digit(&q, y->digits_end);
        if (c != d)
            return c < d ? -1 : 1;
    }
    return 0;
}

int json_number_compare(str a, str b)
{
    struct decimal x = read_decimal(a), y = read_decimal(b);
    bool x_minus = x.minus && !is_zero(&x), y_minus = y.minus && !is_zero(&y);

    if (x_minus != y_minus)
        return x_minus ? -1 : 1;
    return x_minus ? compare_magnitude(&y, &x) : compare_magnitude(&x, &y);
}

/* The exponent of 0.d1d2..., cut off far outside the range of doubles. */
static int clamped_exponent(const struct decimal *d)
{
    struct decimal none = {0};
    int64_t e = exponent_difference(d, &none) + d->shift;
    return (int)MAX_OF(MIN_OF(e, 9999), -9999);
}

bool json_number_digits(str s, char *digits, size_t max, int *exponent)
{
    struct decimal d = read_decimal(s);
    const char *p = d.digits;
    size_t n = 0, kept = 0;
    int e = clamped_exponent(&d) - 1;

    if (is_zero(&d) || e < -300 || e > 300)
        return false;
    while (p < d.digits_end) {
        char c = next_digit(&p, d.digits_end);
        n++;
        if (c == '0')
            continue; /* counts when others follow */
        if (n > max)
            return false;
        while (kept + 1 < n)
            digits[kept++] = '0';
        digits[kept++] = c;
    }
    digits[kept] = '\0';
    *exponent = e;
    return true;
}

/* Of the leading digits, without trailing zeros, and the exponent as far as it is exact. */
uint64_t json_number_hash(str s)
{
    enum { DIGITS = 32 };
    struct decimal d = read_decimal(s);
    char text[DIGITS + 1] = {d.minus && !is_zero(&d) ? '-' : '+'};
    const char *p = d.digits;
    size_t n = 1;
    uint64_t e = (uint64_t)clamped_exponent(&d);

    while (n <= DIGITS && p < d.digits_end)
        text[n++] = next_digit(&p, d.digits_end);
    while (n > 1 && text[n - 1] == '0')
        n--;
    return map_hash((str){text, n}) + (is_zero(&d) ? 0 : e);
}

/* 2^1024 - 2^970, half way between the largest double and the next power: it and all above round
 * to infinity (IEEE 754, ties to even). */
static const str first_infinite =
    STR_INIT("17976931348623158079372897140530341507993413271003782693617377898044496829276475"
             "09466490179775872070963302864166928879109465555478519404026306574886715058206819"
             "08902000708383676273854845817711531764475730270069855571366959622842914819860834"
             "936475292719074168444365510704342711559699508093042880177904174497792");

bool json_number_overflows(str s)
{
    struct decimal d = read_decimal(s), limit = read_decimal(first_infinite);

    return compare_magnitude(&d, &limit) >= 0;
}

/*
 * Long numbers are cut to 800 digits, and a 1 stands for all that follows if it is not zero: no
 * double and no midpoint of two doubles has more than 768 significant digits, so the rounding is
 * the same.
 */
static double long_number_value(str s)
{
    enum { KEPT = 800 };
    char text[KEPT + 32];
    struct decimal d = read_decimal(s);
    const char *p = d.digits;
    size_t n = 0;

    if (is_zero(&d))
        return d.minus ? -0.0 : 0.0;
    text[n++] = d.minus ? '-' : '+';
    text[n++] = '.';
    for (int i = 0; i < KEPT && p < d.digits_end; i++)
        text[n++] = next_digit(&p, d.digits_end);
    while (p < d.digits_end)
        if (next_digit(&p, d.digits_end) != '0') {
            text[n++] = '1';
            break;
        }
    snprintf(text + n, sizeof text - n, "e%d", clamped_exponent(&d));
    return strtod(text, NULL);
}

double json_number_value(str s)
{
    char text[64];

    if (s.n >= sizeof text)
        return long_number_value(s);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return strtod(text, NULL);
}
