/* The ABI of wsPrism's WebAssembly services, version 1, for C (docs/services.md): what a module exports, a reader for the
   compact JSON that it is given, and a buffer for its answer. No library is needed. */
#ifndef WSPRISM_H
#define WSPRISM_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WSPRISM_EXPORT(name) __attribute__((export_name(name)))

/* The gateway writes each message here; it holds until the call has answered. */
static u8 wsprism_input[65536];

WSPRISM_EXPORT("wsprism_abi") u32 wsprism_abi(void) { return 1; }

WSPRISM_EXPORT("wsprism_alloc") u8 *wsprism_alloc(u32 size) {
    return size <= sizeof wsprism_input ? wsprism_input : 0; /* 0: no memory for so much, and the call fails */
}

/* A piece of the message: with the quotes, where it is a string. `at` 0: there is none. */
typedef struct { const u8 *at; u32 size; } json;

/* The end of the value that begins at `at`. */
static const u8 *json_end(const u8 *at, const u8 *end) {
    int depth = 0, in_string = 0;
    for (; at < end; at++) {
        u8 c = *at;
        if (in_string) {
            if (c == '\\') at++;
            else if (c == '"') { in_string = 0; if (!depth) return at + 1; }
        } else if (c == '"') in_string = 1;
        else if (c == '{' || c == '[') depth++;
        else if (c == '}' || c == ']') { if (!depth) return at; if (!--depth) return at + 1; }
        else if (c == ',' && !depth) return at;
    }
    return end;
}

/* What stands at `key` of the object `in`. */
static json json_get(json in, const char *key) {
    const u8 *at = in.at, *end = in.at + in.size;
    if (!at || in.size < 2 || *at++ != '{') return (json){0, 0};
    while (at < end && *at == '"') {
        const u8 *name = at + 1, *value = json_end(at, end) + 1, *after = json_end(value, end);
        const char *k = key;
        while (*k && *name == (u8)*k) { k++; name++; }
        if (!*k && *name == '"') return (json){value, (u32)(after - value)};
        at = after + 1;
    }
    return (json){0, 0};
}

static int json_is(json value, const char *text) {
    u32 i = 0;
    for (; i < value.size && text[i]; i++) if (value.at[i] != (u8)text[i]) return 0;
    return value.at && i == value.size && !text[i];
}

static int json_same(json a, json b) {
    if (a.size != b.size) return 0;
    for (u32 i = 0; i < a.size; i++) if (a.at[i] != b.at[i]) return 0;
    return 1;
}

/* A whole number of up to 9 digits, else -1. */
static int json_number(json value) {
    if (!value.at || value.size == 0 || value.size > 9) return -1;
    int number = 0;
    for (u32 i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return -1;
        number = number * 10 + (value.at[i] - '0');
    }
    return number;
}

static struct { u8 text[4096]; u32 size; } wsprism_answer;

static void put(const char *text) {
    while (*text && wsprism_answer.size < sizeof wsprism_answer.text) wsprism_answer.text[wsprism_answer.size++] = (u8)*text++;
}

static void put_json(json value) {
    for (u32 i = 0; i < value.size && wsprism_answer.size < sizeof wsprism_answer.text; i++)
        wsprism_answer.text[wsprism_answer.size++] = value.at[i];
}

static void put_number(u32 number) {
    char digits[11], *at = digits + 10;
    *at = 0;
    do *--at = (char)('0' + number % 10); while (number /= 10);
    put(at);
}

static u64 wsprism_result(void) { return (u64)(u32)wsprism_answer.text << 32 | wsprism_answer.size; }

#endif
