/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - our own errors beside the system's, with their words, in one table.
 * Functions of wal/ return 0, -errno or one of these; store_strerror() has the words of each.
 *
 * Damage is no error: recovery finds it and reports it (recover.h).
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

/* X(name, number, words): the number is below every -errno of the system, and never changes;
 * messages put the words behind a path and a colon. */
#define STORE_ERROR_TABLE(X) \
	X(STORE_EFORMAT, -2001, "not a store, or damaged beyond use") \
	X(STORE_EVERSION, -2002, "made by a version with another format") \
	X(STORE_EBYTEORDER, -2003, "made on a machine with another byte order") \
	X(STORE_EBUSY, -2004, "in use by another process") \
	/* the store has a WAL attached that was not given or not found */ \
	X(STORE_EWALMISSING, -2005, "the attached wal is missing") \
	X(STORE_EMISMATCH, -2006, "belongs to another store") \
	/* only where a store is opened and never made */ \
	X(STORE_ENODIR, -2007, "no store there") \
	X(STORE_EWEAK, -2008, "the place cannot give the class asked for") \
	/* recovery may be tried again when there is room */ \
	X(STORE_ENOROOM, -2009, "no room on the disk for what recovery has to write") \
	X(STORE_EGONE, -2010, "its file was removed or replaced while it was in use") \
	/* something else has the file's name */ \
	X(STORE_ENOTFILE, -2011, \
	  "not a regular file (but a link, a folder, a pipe or a device), so it is left alone") \
	X(STORE_ELINKED, -2012, \
	  "the file has another name (a hard link), under which it would be written too: " \
	  "remove that name, or copy the file and put the copy in its place") \
	/* something else has the folder's name: a file, or a link to a folder */ \
	X(STORE_ENOTDIR, -2013, "not a folder (a link to one is not followed here)") \
	/* the segment can be read by now, but only a start finds where the lane ends */ \
	X(STORE_EASIDE, -2014, \
	  "it could not be read when the server was started, and where it ends only a start finds " \
	  "out: start it again")

enum {
#define STORE_ERROR_NUMBER(name, number, words) name = (number),
	STORE_ERROR_TABLE(STORE_ERROR_NUMBER)
#undef STORE_ERROR_NUMBER
};

/* The words of one of these or of a -errno; never NULL.  For a -errno they are strerror()'s, valid
 * until the thread's next call. */
const char *store_strerror(int err);

#endif
