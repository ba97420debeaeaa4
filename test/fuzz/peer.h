/*
 * test/fuzz/peer.h - for targets about the answers of other servers: a connection at whose other end the
 * input was said, in pieces, and then nothing more.
 */
#ifndef TEST_FUZZ_PEER_H
#define TEST_FUZZ_PEER_H

#include "test/fuzz/fuzz.h"

#include <unistd.h>

#include "base/clock.h"
#include "http/outbound.h"

#define PEER_DEADLINE_MS 30000 /* of a fuzzer that others leave no time: not its own fault */

/* Pieces are messages of a SOCK_SEQPACKET, so that each is read by itself. The other end's descriptor. */
static inline int peer_open(struct dial *d, str says, uint32_t random)
{
    int fd[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    for (int n = 0; says.n > 0; n++) {
        str piece = str_sub(says, 0, random == 0 ? DIAL_IN_BYTES : 1 + fuzz_next(&random) % 100);
        if (n > 100)
            piece = str_sub(says, 0, DIAL_IN_BYTES);
        CHECK(send(fd[1], piece.p, piece.n, MSG_NOSIGNAL) == (ssize_t)piece.n);
        says = str_drop(says, piece.n);
    }
    CHECK(shutdown(fd[1], SHUT_WR) == 0);
    dial_init(d, clock_mono_ms() + PEER_DEADLINE_MS, NULL);
    dial_name_peer(d, STR("peer"), 1);
    d->fd = fd[0];
    return fd[1];
}

#endif
