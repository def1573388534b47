/* A TFLite delegate that stands in for libedgetpu: it opens no device, but the runtime calls it as it calls any other.
 *
 * It takes over the concatenation at the end of the network, which only copies, so that answers stay as they were and
 * every answer passes through here. Structures: tensorflow/lite/core/c/common.h, as far as they are used; their order
 * is fixed there.
 *
 *   PRETEND=       open and work            PRETEND=refuse   no device
 *   PRETEND=crash  end the process          PRETEND=busy     refuse the second and third opening, counted in the log
 *   PRETEND=prepare  refuse every network
 *   PRETEND=trap     end the process at the first network, counted in the log
 *   PRETEND_LOG    file to which every call is added, with the thread that made it
 *   PRETEND_GONE   file whose being there makes every answer fail, as a pulled plug does
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef NO_DELEGATE

enum { OK = 0, ERROR = 1, CONCATENATION = 2 };

typedef struct { int size; int data[]; } Ints;
typedef struct { int type; char *data; Ints *dims; float scale; int32_t zero; int kind; size_t bytes; char rest[64]; } Tensor;
typedef struct { Ints *inputs, *outputs; } Node;
typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    int (*prepare)(Context *, Node *);
    int (*invoke)(Context *, Node *);
    const char *(*profile)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *unused[5];
} Registration;
struct Context {
    size_t count;
    int (*plan)(Context *, Ints **);
    Tensor *tensors;
    void *impl;
    void *resize;
    void (*report)(Context *, const char *, ...);
    void *add;
    int (*node)(Context *, int, Node **, Registration **);
    int (*replace)(Context *, Registration, const Ints *, Delegate *);
};
struct Delegate {
    void *data;
    int (*prepare)(Context *, Delegate *);
    void *copy_from, *copy_to, *drop;
    int64_t flags;
    void *builder;
};

static int parts[2]; /* what is joined, in order: the same in every network of the tests */

static int is(const char *mode) {
    const char *said = getenv("PRETEND");
    return said && !strcmp(said, mode);
}

static void note(const char *what) {
    const char *path = getenv("PRETEND_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %d %ld\n", what, (int)getpid(), (long)syscall(SYS_gettid));
    fclose(file);
}

static int calls(const char *what) {
    const char *path = getenv("PRETEND_LOG");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[200];
    int found = 0;
    while (file && fgets(line, sizeof line, file)) found += !strncmp(line, what, strlen(what));
    if (file) fclose(file);
    return found;
}

static void *kernel_init(Context *context, const char *buffer, size_t size) {
    (void)context, (void)buffer, (void)size;
    return parts; /* the end of what has no data is not told */
}

static void kernel_free(Context *context, void *data) {
    (void)context, (void)data;
    note("free");
}

static int kernel_prepare(Context *context, Node *node) {
    (void)context, (void)node;
    return OK;
}

static int kernel_invoke(Context *context, Node *node) {
    const char *gone = getenv("PRETEND_GONE");
    char *out = context->tensors[node->outputs->data[0]].data;
    note("invoke");
    if (gone && !access(gone, F_OK)) {
        context->report(context, "the pretended device is gone");
        return ERROR;
    }
    for (int each = 0; each < 2; each++) {
        Tensor *in = &context->tensors[parts[each]];
        memcpy(out, in->data, in->bytes);
        out += in->bytes;
    }
    return OK;
}

static int prepare(Context *context, Delegate *delegate) {
    Ints *plan;
    Node *node;
    Registration *kind, mine = {kernel_init, kernel_free, kernel_prepare, kernel_invoke, NULL, 0, "pretend", 1, {0}};
    note("prepare");
    if (is("trap") && calls("prepare") == 1) *(volatile int *)0 = 0;
    if (is("prepare") || context->plan(context, &plan)) return ERROR;
    int last = plan->data[plan->size - 1];
    if (context->node(context, last, &node, &kind) || kind->builtin_code != CONCATENATION) return ERROR;
    memcpy(parts, node->inputs->data, sizeof parts);
    struct { int size, data[1]; } taken = {1, {last}};
    return context->replace(context, mine, (const Ints *)&taken, delegate);
}

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    (void)keys, (void)values, (void)count;
    note("create");
    if (is("crash")) *(volatile int *)0 = 0;
    int opened = calls("create");
    if (is("refuse") || (is("busy") && (opened == 2 || opened == 3))) {
        report("no pretended device");
        return NULL;
    }
    Delegate *made = calloc(1, sizeof *made);
    made->prepare = prepare;
    return made;
}

void tflite_plugin_destroy_delegate(void *delegate) {
    note("destroy");
    free(delegate);
}

#endif
