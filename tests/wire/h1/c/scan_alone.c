/* Reads heads of stdin with `scan` alone, each in memory of just its size, so that a sanitizer sees
   a read of one byte too much: for each head all of its beginnings. A head is its size, as a number on
   a line, and its bytes. Prints how many were usual. */

#include <stdio.h>
#include <stdlib.h>

#define SCAN_ALONE
#include "_head.c"

static int
one(const unsigned char *data, size_t size)
{
    static struct facts facts;
    unsigned char *exact = malloc(size ? size : 1);
    int usual;

    if (exact == NULL)
        abort();
    memcpy(exact, data, size);
    usual = size ? scan(exact, size, &facts) : scan(exact + 1, 0, &facts);
    if (usual) {
        /* Every place that was found lies within. */
        const unsigned char *end = exact + facts.size;
        if (facts.size > size || plain_length(&facts) < -1)
            abort();
        if (facts.reason.start < exact || facts.reason.start + facts.reason.length > end)
            abort();
        for (int i = 0; i < facts.found; i++) {
            struct span value = facts.fields[i].value;
            if (value.start < exact || value.start + value.length > end)
                abort();
        }
    }
    free(exact);
    return usual;
}

int
main(void)
{
    unsigned long size;
    unsigned long usual = 0;

    while (scanf("%lu", &size) == 1) {
        unsigned char *data = malloc(size + 1);
        if (data == NULL || getchar() != '\n' || fread(data, 1, size, stdin) != size)
            abort();
        if (size > 4096)
            usual += (unsigned long)one(data, size);
        else
            for (size_t part = 0; part <= size; part++)
                usual += (unsigned long)one(data, part);
        free(data);
    }
    printf("%lu\n", usual);
    return 0;
}
