// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes around AES-GCM, put together and taken apart: nst_scapy/gcm_parts.py says what
 * each function does and has it in Python, for where this module was not built.
 *
 * The cipher takes some 0.4 us for a short record. The interpreter takes as long to pack a
 * header, an IV and a record, whatever way it is written; this takes a third of it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

/* Offsets in the header, specification, section 1; see nst_scapy/header.py. */
enum {
	LENGTH = 6,
	TIMESTAMP = 8,
	TIMESTAMP_LOW = 12,
	NONCE = 16,
	COUNTER = 22,
	TOKEN = 24,
	AFTER_TOKEN = 40,
	FLAGS = 44,
	HEADER_LEN = 48,
};

enum { TOKEN_LEN = AFTER_TOKEN - TOKEN, SALT_LEN = 4, NONCE_LEN = 8, IV_LEN = 12 };

static void put(char *to, unsigned long long value, int bytes)
{
	while (bytes--) {
		to[bytes] = (char)value;
		value >>= 8;
	}
}

/* The integer in *field*, which has room for so many *bytes*. */
static int get(PyObject *field, const char *name, int bytes, unsigned long long *value)
{
	*value = PyLong_AsUnsignedLongLong(field);
	if (*value == (unsigned long long)-1 && PyErr_Occurred()) {
		if (!PyErr_ExceptionMatches(PyExc_OverflowError))
			return -1;
		PyErr_Clear();
	} else if (bytes == 8 || !(*value >> 8 * bytes)) {
		return 0;
	}
	PyErr_Format(PyExc_ValueError, "header field out of range: %s %S", name, field);
	return -1;
}

static void make_iv(char *iv, const char *header, const char *salt)
{
	for (int n = 0; n < SALT_LEN; n++)
		iv[n] = header[TIMESTAMP_LOW + n] ^ salt[n];
	memcpy(iv + SALT_LEN, header + NONCE, NONCE_LEN);
}

static int expect(const char *function, Py_ssize_t wanted, Py_ssize_t got)
{
	if (wanted == got)
		return 0;
	PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, got %zd", function, wanted, got);
	return -1;
}

/* begin(template, length, timestamp, counter, flags) -> (header0, iv) */
static PyObject *begin(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	unsigned long long length, timestamp, counter, flags;
	PyObject *header0, *iv, *both;
	const char *template;
	char *to;

	if (expect("begin", 5, nargs))
		return NULL;
	if (!PyBytes_Check(args[0]) || PyBytes_GET_SIZE(args[0]) != HEADER_LEN + SALT_LEN) {
		PyErr_SetString(PyExc_TypeError, "not a template of make_template()");
		return NULL;
	}
	if (get(args[1], "transport_len", 2, &length) || get(args[2], "timestamp", 8, &timestamp) ||
	    get(args[3], "counter", 2, &counter) || get(args[4], "flags", 4, &flags))
		return NULL;
	header0 = PyBytes_FromStringAndSize(NULL, HEADER_LEN);
	iv = PyBytes_FromStringAndSize(NULL, IV_LEN);
	both = PyTuple_New(2);
	if (!header0 || !iv || !both) {
		Py_XDECREF(header0);
		Py_XDECREF(iv);
		Py_XDECREF(both);
		return NULL;
	}
	template = PyBytes_AS_STRING(args[0]);
	to = PyBytes_AS_STRING(header0);
	memcpy(to, template, HEADER_LEN);
	put(to + LENGTH, length, 2);
	put(to + TIMESTAMP, timestamp, 8);
	put(to + COUNTER, counter, 2);
	put(to + FLAGS, flags, 4);
	make_iv(PyBytes_AS_STRING(iv), to, template + HEADER_LEN);
	PyTuple_SET_ITEM(both, 0, header0);
	PyTuple_SET_ITEM(both, 1, iv);
	return both;
}

/* join(header0, sealed) -> record */
static PyObject *join(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	const char *header0, *sealed;
	Py_ssize_t length;
	PyObject *record;
	char *to;

	if (expect("join", 2, nargs))
		return NULL;
	if (!PyBytes_Check(args[0]) || PyBytes_GET_SIZE(args[0]) < HEADER_LEN ||
	    !PyBytes_Check(args[1]) || PyBytes_GET_SIZE(args[1]) < TOKEN_LEN) {
		PyErr_SetString(PyExc_TypeError, "not a header and what was sealed with it");
		return NULL;
	}
	header0 = PyBytes_AS_STRING(args[0]);
	sealed = PyBytes_AS_STRING(args[1]);
	length = PyBytes_GET_SIZE(args[1]) - TOKEN_LEN;
	record = PyBytes_FromStringAndSize(NULL, HEADER_LEN + length);
	if (!record)
		return NULL;
	to = PyBytes_AS_STRING(record);
	memcpy(to, header0, TOKEN);
	memcpy(to + TOKEN, sealed + length, TOKEN_LEN);
	memcpy(to + AFTER_TOKEN, header0 + AFTER_TOKEN, HEADER_LEN - AFTER_TOKEN);
	memcpy(to + HEADER_LEN, sealed, length);
	return record;
}

/* split(record, salt) -> (header0, iv, sealed) */
static PyObject *split(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	PyObject *header0 = NULL, *iv = NULL, *sealed = NULL, *all = NULL;
	const char *record;
	Py_buffer view;
	Py_ssize_t body;
	char *to;

	if (expect("split", 2, nargs))
		return NULL;
	if (!PyBytes_Check(args[1]) || PyBytes_GET_SIZE(args[1]) != SALT_LEN) {
		PyErr_SetString(PyExc_TypeError, "a salt is 4 bytes");
		return NULL;
	}
	if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE))
		return NULL;
	if (view.len < HEADER_LEN) {
		PyErr_Format(PyExc_ValueError, "a record is %d bytes or more, got %zd", HEADER_LEN,
			     view.len);
		goto out;
	}
	record = view.buf;
	body = view.len - HEADER_LEN;
	header0 = PyBytes_FromStringAndSize(record, HEADER_LEN);
	iv = PyBytes_FromStringAndSize(NULL, IV_LEN);
	sealed = PyBytes_FromStringAndSize(NULL, body + TOKEN_LEN);
	if (!header0 || !iv || !sealed)
		goto out;
	memset(PyBytes_AS_STRING(header0) + TOKEN, 0, TOKEN_LEN);
	make_iv(PyBytes_AS_STRING(iv), record, PyBytes_AS_STRING(args[1]));
	to = PyBytes_AS_STRING(sealed);
	memcpy(to, record + HEADER_LEN, body);
	memcpy(to + body, record + TOKEN, TOKEN_LEN);
	all = PyTuple_Pack(3, header0, iv, sealed);
out:
	PyBuffer_Release(&view);
	Py_XDECREF(header0);
	Py_XDECREF(iv);
	Py_XDECREF(sealed);
	return all;
}

static PyMethodDef functions[] = {
	{ "begin", (PyCFunction)(void (*)(void))begin, METH_FASTCALL, NULL },
	{ "join", (PyCFunction)(void (*)(void))join, METH_FASTCALL, NULL },
	{ "split", (PyCFunction)(void (*)(void))split, METH_FASTCALL, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "nst_scapy._gcm_parts",
	.m_methods = functions,
};

PyMODINIT_FUNC PyInit__gcm_parts(void)
{
	return PyModuleDef_Init(&definition);
}
