/*
 * base/fault.h - which file was it that could not be read in a view of it?
 *
 * What the disk fails to give in a mapped file (os.h), or what somebody cut off its end, is no error
 * that a call returns: it is SIGBUS, of which a process dies without a word.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

/* From now on the process says on standard error which file and which offset it was, and then dies of
 * SIGBUS as before. At the begin of main(); counts for all threads. */
void fault_watch(void);

#endif
