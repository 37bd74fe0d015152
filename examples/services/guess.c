/* Guess the number, 1 to 100: the same game as guess.py and guess.ts. Built with

       python -m ziglang cc -target wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 \
           -o guess-c.wasm guess.c                 (pip install ziglang; any clang with wasm-ld does it as well) */
#include "wsprism.h"

#define MOST_ROOMS 64

static struct { u8 name[800]; u32 name_size, number, tries, random; } rooms[MOST_ROOMS];
static u32 seed = 1, next_room = 0;

static void new_number(u32 room) {
    rooms[room].random = (rooms[room].random * 1103515245u + 12345u) & 0x7fffffffu;
    rooms[room].number = (rooms[room].random >> 16) % 100 + 1;
    rooms[room].tries = 0;
}

static u32 room_of(json name) {
    for (u32 i = 0; i < MOST_ROOMS; i++)
        if (json_same(name, (json){rooms[i].name, rooms[i].name_size})) return i;
    u32 room = next_room++ % MOST_ROOMS; /* the oldest gives way */
    rooms[room].name_size = name.size;
    for (u32 i = 0; i < name.size; i++) rooms[room].name[i] = name.at[i];
    rooms[room].random = seed;
    new_number(room);
    return room;
}

WSPRISM_EXPORT("wsprism_init") u32 wsprism_init(const u8 *at, u32 size) {
    json given = json_get((json){at, size}, "seed");
    if (given.at && json_number(given) < 0) return 1; /* refuse to start */
    if (given.at) seed = (u32)json_number(given);
    return 0;
}

static void refuse(const char *code, const char *msg) {
    put("{\"effects\":[{\"refuse\":{\"code\":\""), put(code), put("\",\"msg\":\""), put(msg), put("\"}}]}");
}

static void reply(const char *hint, u32 tries) {
    put("{\"reply\":{\"hint\":\""), put(hint), put("\",\"tries\":"), put_number(tries), put("}}]}");
}

WSPRISM_EXPORT("wsprism_handle") u64 wsprism_handle(const u8 *at, u32 size) {
    json message = {at, size}, room_name = json_get(message, "room");
    wsprism_answer.size = 0;
    if (!json_is(json_get(message, "type"), "\"guess\"")) {
        refuse("NOT_ALLOWED", "there is only guess");
        return wsprism_result();
    }
    if (!room_name.at || room_name.size > sizeof rooms[0].name) {
        refuse("NOT_ALLOWED", "join a room first");
        return wsprism_result();
    }
    int n = json_number(json_get(json_get(message, "data"), "n"));
    if (n < 1 || n > 100) {
        refuse("BAD_REQUEST", "n must be from 1 to 100");
        return wsprism_result();
    }
    u32 room = room_of(room_name), number = rooms[room].number, tries = ++rooms[room].tries;
    put("{\"effects\":[");
    if ((u32)n == number) {
        put("{\"publish\":{\"type\":\"won\",\"data\":{\"by\":"), put_json(json_get(json_get(message, "session"), "user"));
        put(",\"n\":"), put_number(number), put(",\"tries\":"), put_number(tries), put("}}},");
        new_number(room);
    }
    reply((u32)n == number ? "right" : (u32)n < number ? "higher" : "lower", tries);
    return wsprism_result();
}
