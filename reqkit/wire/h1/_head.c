/* The reader of usual heads in C: what `well_formed.read_sound` does, several times faster.

   Bytes in; what they say, or "not mine" (None) for whatever is not sound in every line, is large, or
   has a field twice that may stand once: that is for Python, which words the error, too. `read_next`
   takes what came with the head, too, and tells of a body of a plain length. Nothing is kept between
   two calls. `scan` knows nothing of Python and takes the bytes as they are, without a
   terminator; all that it finds are places in them.

   Source: RFC 9112 sections 2 to 5; RFC 9110 section 5. */

#include <stddef.h>
#include <string.h>

/* As in answer.py; a test compares them. */
#define MOST_BYTES 65536
#define MOST_FIELDS 256
/* Of a length that fits into a long long, whatever they are. */
#define MOST_DIGITS 18

/* The fields that are watched, in the order of the lengths of their names. */
enum {
    AGE, DATE, ETAG, SERVER, EXPIRES, LOCATION, CONNECTION, SET_COOKIE, RETRY_AFTER, CONTENT_TYPE,
    CONTENT_RANGE, LAST_MODIFIED, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LOCATION,
    TRANSFER_ENCODING, CONTENT_DISPOSITION, WATCHED
};

#define ONCE 1
#define LOOKED_FOR 2

static const struct watched {
    const char *name;
    unsigned char length;
    unsigned char kind;
} watched[WATCHED] = {
    {"age", 3, ONCE},
    {"date", 4, ONCE},
    {"etag", 4, ONCE},
    {"server", 6, ONCE},
    {"expires", 7, ONCE},
    {"location", 8, ONCE | LOOKED_FOR},
    {"connection", 10, LOOKED_FOR},
    {"set-cookie", 10, LOOKED_FOR},
    {"retry-after", 11, ONCE | LOOKED_FOR},
    {"content-type", 12, ONCE},
    {"content-range", 13, ONCE},
    {"last-modified", 13, ONCE},
    {"content-length", 14, ONCE | LOOKED_FOR},
    {"content-encoding", 16, LOOKED_FOR},
    {"content-location", 16, ONCE},
    {"transfer-encoding", 17, LOOKED_FOR},
    {"content-disposition", 19, ONCE},
};
#define LONGEST_NAME 19

/* The first of the watched names that are at least so long. */
static const unsigned char first_of[LONGEST_NAME + 2] = {
    AGE, AGE, AGE, AGE, DATE, SERVER, SERVER, EXPIRES, LOCATION, CONNECTION, CONNECTION, RETRY_AFTER,
    CONTENT_TYPE, CONTENT_RANGE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_ENCODING,
    TRANSFER_ENCODING, CONTENT_DISPOSITION, CONTENT_DISPOSITION, WATCHED
};

/* RFC 9110 section 5.6.2: the characters of a name, in lower case; 0 for what is none. */
static const unsigned char name_char[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
    ['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',
    ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',
    ['7'] = '7', ['8'] = '8', ['9'] = '9',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g',
    ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n',
    ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',
    ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n',
    ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',
    ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

struct span {
    const unsigned char *start;
    size_t length;
};

struct facts {
    int version;
    int status;
    size_t size; /* of the head, with its empty line */
    struct span reason;
    int found; /* of the looked-for fields, in their order */
    struct {
        int which;
        struct span value;
    } fields[MOST_FIELDS];
};

/* RFC 9110 section 5.5: the bytes of a value: all but controls, and HTAB. */
static int
is_value(unsigned char byte)
{
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* Return the first place from `at` on that holds no byte of a value, or `end`. */
static const unsigned char *
end_of_value(const unsigned char *at, const unsigned char *end)
{
    const unsigned long long ones = 0x0101010101010101ULL;
    const unsigned long long highs = 0x8080808080808080ULL;

    /* Eight at a time: where a byte is below 0x20 or is 0x7f, its high bit is set (and may be in
       bytes above it, too: which one it was is looked for below). */
    while ((size_t)(end - at) >= 8) {
        unsigned long long word, low, del;
        memcpy(&word, at, 8);
        low = (word - ones * 0x20) & ~word & highs;
        del = word ^ (ones * 0x7f);
        del = (del - ones) & ~del & highs;
        if (low | del) {
            int stop = 0;
            for (int i = 0; i < 8 && !stop; i++) {
                if (is_value(*at))
                    at++;
                else
                    stop = 1;
            }
            if (stop)
                return at;
        }
        else
            at += 8;
    }
    while (at < end && is_value(*at))
        at++;
    return at;
}

/* Return which watched field has this name, or WATCHED. The bytes are characters of names. */
static int
watched_by(const unsigned char *name, size_t length)
{
    if (length > LONGEST_NAME)
        return WATCHED;
    for (int which = first_of[length]; which < first_of[length + 1]; which++) {
        const char *lower = watched[which].name;
        size_t i = 0;
        while (i < length && name_char[name[i]] == (unsigned char)lower[i])
            i++;
        if (i == length)
            return which;
    }
    return WATCHED;
}

/* Read a head from the status line through the empty line; tell whether it is a usual one. Bytes may
   follow it. */
static int
scan(const unsigned char *at, size_t size, struct facts *facts)
{
    const unsigned char *begin = at;
    const unsigned char *end = at + size;
    const unsigned char *stop;
    unsigned int seen = 0;
    int lines = 0;

    /* RFC 9112 section 4: a status line; the space before a missing reason is often left out. */
    if (size < 16 || memcmp(at, "HTTP/1.", 7) != 0)
        return 0;
    if (size > MOST_BYTES)
        end = at + MOST_BYTES; /* where the head ends, too */
    if ((at[7] != '0' && at[7] != '1') || at[8] != ' ')
        return 0;
    if (at[9] < '1' || at[9] > '9' || at[10] < '0' || at[10] > '9' || at[11] < '0' || at[11] > '9')
        return 0;
    facts->version = 10 + (at[7] - '0');
    facts->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
    facts->found = 0;
    at += 12;
    facts->reason.start = at;
    facts->reason.length = 0;
    if (*at == ' ') {
        at++;
        stop = end_of_value(at, end);
        facts->reason.start = at;
        facts->reason.length = (size_t)(stop - at);
        at = stop;
    }
    for (;;) {
        const unsigned char *name;
        int which;

        /* Each line's end. */
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n')
            return 0;
        at += 2;
        /* The empty line, which is the last. */
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
            facts->size = (size_t)(at - begin) + 2;
            return 1;
        }
        if (++lines > MOST_FIELDS)
            return 0;
        name = at;
        while (at < end && name_char[*at])
            at++;
        if (at == name || at == end || *at != ':')
            return 0;
        which = watched_by(name, (size_t)(at - name));
        at++;
        stop = end_of_value(at, end);
        if (which != WATCHED) {
            unsigned int bit = 1u << which;
            if ((seen & bit) && (watched[which].kind & ONCE))
                return 0;
            seen |= bit;
            if (watched[which].kind & LOOKED_FOR) {
                const unsigned char *last = stop;
                while (at < last && (*at == ' ' || *at == '\t'))
                    at++;
                while (at < last && (last[-1] == ' ' || last[-1] == '\t'))
                    last--;
                facts->fields[facts->found].which = which;
                facts->fields[facts->found].value.start = at;
                facts->fields[facts->found].value.length = (size_t)(last - at);
                facts->found++;
            }
        }
        at = stop;
    }
}

/* Return the bytes of the body, where nothing of it is asked for but a plain length: it has one, no
   coding, and the connection goes on; -1 elsewhere. As framing.py has it, which is asked for the rest.

   Source: RFC 9112 sections 6.3 and 9.3. */
static long long
plain_length(const struct facts *facts)
{
    long long length = -1;
    int goes_on = facts->version == 11;

    if (facts->status < 200 || facts->status == 204 || facts->status == 304)
        return -1;
    for (int i = 0; i < facts->found; i++) {
        const struct span value = facts->fields[i].value;

        switch (facts->fields[i].which) {
        case CONTENT_LENGTH: /* which stands once */
            if (value.length < 1 || value.length > MOST_DIGITS)
                return -1;
            length = 0;
            for (size_t at = 0; at < value.length; at++) {
                if (value.start[at] < '0' || value.start[at] > '9')
                    return -1;
                length = length * 10 + (value.start[at] - '0');
            }
            break;
        case TRANSFER_ENCODING:
            return -1;
        case CONNECTION:
            if (value.length != 10 || memcmp(value.start, "keep-alive", 10) != 0)
                return -1;
            goes_on = 1;
            break;
        }
    }
    return goes_on ? length : -1;
}

#ifndef SCAN_ALONE

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* What calls need of Python: made when the module is, and never changed. */
struct state {
    PyObject *kind; /* the class AnswerHead */
    PyObject *names[WATCHED];
    PyObject *version, *status, *reason, *text, *known, *oddity, *length; /* its attributes */
    PyObject *ok, *empty;
};

static PyObject *
text_of(struct span span)
{
    return PyUnicode_DecodeLatin1((const char *)span.start, (Py_ssize_t)span.length, NULL);
}

/* Return the dictionary of the looked-for fields; a list's values are joined. */
static PyObject *
known_of(struct state *state, const struct facts *facts)
{
    PyObject *known = PyDict_New();

    if (known == NULL)
        return NULL;
    for (int i = 0; i < facts->found; i++) {
        PyObject *name = state->names[facts->fields[i].which];
        PyObject *value = text_of(facts->fields[i].value);
        PyObject *before;
        int failed;

        if (value == NULL)
            goto error;
        before = PyDict_GetItemWithError(known, name); /* borrowed */
        if (before != NULL) {
            PyObject *joined = PyUnicode_FromFormat("%U, %U", before, value);
            Py_DECREF(value);
            value = joined;
            if (value == NULL)
                goto error;
        }
        else if (PyErr_Occurred()) {
            Py_DECREF(value);
            goto error;
        }
        failed = PyDict_SetItem(known, name, value);
        Py_DECREF(value);
        if (failed)
            goto error;
    }
    return known;
error:
    Py_DECREF(known);
    return NULL;
}

/* Set an attribute to a new object, which is let go of; tell whether that failed. */
static int
set(PyObject *head, PyObject *name, PyObject *value)
{
    int failed;

    if (value == NULL)
        return 1;
    failed = PyObject_SetAttr(head, name, value);
    Py_DECREF(value);
    return failed;
}

/* Return the head that the bytes begin with; None where it is not a usual one, or, where that is
   asked for, is not all of them. */
static PyObject *
head_of(PyObject *module, PyObject *bytes, int whole)
{
    struct state *state = PyModule_GetState(module);
    struct facts facts;
    struct span all;
    PyObject *head, *reason;
    char *data;
    Py_ssize_t size;

    if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
        return NULL;
    all.start = (const unsigned char *)data;
    all.length = (size_t)size;
    if (!scan(all.start, all.length, &facts) || (whole && facts.size != all.length))
        Py_RETURN_NONE;
    all.length = facts.size;
    if (facts.reason.length == 2 && memcmp(facts.reason.start, "OK", 2) == 0) {
        reason = state->ok;
        Py_INCREF(reason);
    }
    else
        reason = text_of(facts.reason);
    head = PyType_GenericAlloc((PyTypeObject *)state->kind, 0);
    if (head == NULL) {
        Py_XDECREF(reason);
        return NULL;
    }
    if (set(head, state->reason, reason)
        || set(head, state->version, PyLong_FromLong(facts.version))
        || set(head, state->status, PyLong_FromLong(facts.status))
        || set(head, state->text, text_of(all))
        || set(head, state->known, known_of(state, &facts))
        || set(head, state->length, PyLong_FromLongLong(plain_length(&facts)))
        || PyObject_SetAttr(head, state->oddity, state->empty)) {
        Py_DECREF(head);
        return NULL;
    }
    return head;
}

static PyObject *
read_sound(PyObject *module, PyObject *block)
{
    return head_of(module, block, 1);
}

static PyObject *
read_next(PyObject *module, PyObject *data)
{
    return head_of(module, data, 0);
}

static int
start(PyObject *module)
{
    struct state *state = PyModule_GetState(module);
    PyObject *answer = PyImport_ImportModule("reqkit.wire.h1.answer");

    if (answer == NULL)
        return -1;
    state->kind = PyObject_GetAttrString(answer, "AnswerHead");
    Py_DECREF(answer);
    if (state->kind == NULL)
        return -1;
    if (!PyType_Check(state->kind)) {
        PyErr_SetString(PyExc_TypeError, "AnswerHead is no class");
        return -1;
    }
    for (int i = 0; i < WATCHED; i++) {
        state->names[i] = PyUnicode_InternFromString(watched[i].name);
        if (state->names[i] == NULL)
            return -1;
    }
    if ((state->version = PyUnicode_InternFromString("version")) == NULL
        || (state->status = PyUnicode_InternFromString("status")) == NULL
        || (state->reason = PyUnicode_InternFromString("reason")) == NULL
        || (state->text = PyUnicode_InternFromString("text")) == NULL
        || (state->known = PyUnicode_InternFromString("known")) == NULL
        || (state->oddity = PyUnicode_InternFromString("oddity")) == NULL
        || (state->length = PyUnicode_InternFromString("length")) == NULL
        || (state->ok = PyUnicode_InternFromString("OK")) == NULL
        || (state->empty = PyUnicode_InternFromString("")) == NULL)
        return -1;
    return 0;
}

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *state = PyModule_GetState(module);

    if (state != NULL) /* before it was made */
        Py_VISIT(state->kind);
    return 0;
}

static int
clear(PyObject *module)
{
    struct state *state = PyModule_GetState(module);

    if (state == NULL)
        return 0;
    Py_CLEAR(state->kind);
    for (int i = 0; i < WATCHED; i++)
        Py_CLEAR(state->names[i]);
    Py_CLEAR(state->version);
    Py_CLEAR(state->status);
    Py_CLEAR(state->reason);
    Py_CLEAR(state->text);
    Py_CLEAR(state->known);
    Py_CLEAR(state->oddity);
    Py_CLEAR(state->length);
    Py_CLEAR(state->ok);
    Py_CLEAR(state->empty);
    return 0;
}

static void
release(void *module)
{
    (void)clear(module);
}

PyDoc_STRVAR(read_sound_doc,
"read_sound(block, /)\n--\n\n"
"Read a head from the status line through the empty line.\n\n"
"Returns:\n"
"    an AnswerHead, or None where it is not sound in every line, is large, or has a field\n"
"    twice that may stand once.");

PyDoc_STRVAR(read_next_doc,
"read_next(data, /)\n--\n\n"
"Read the head that bytes begin with; others may follow it.\n\n"
"Returns:\n"
"    an AnswerHead, or None where it is not whole, or as read_sound has it.");

static PyMethodDef methods[] = {
    {"read_sound", read_sound, METH_O, read_sound_doc},
    {"read_next", read_next, METH_O, read_next_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)start},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "reqkit.wire.h1._head",
    .m_doc = "The reader of usual heads in C.",
    .m_size = sizeof(struct state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

PyMODINIT_FUNC
PyInit__head(void)
{
    return PyModuleDef_Init(&definition);
}

#endif /* SCAN_ALONE */
