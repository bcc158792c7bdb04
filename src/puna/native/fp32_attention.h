// Grouped-query attention over a cache in fp32: TOGETHER rows (t, g) of one kv-head at a time.
//
// The cache's slots come in blocks of 16: a block of keys is [E][16 slots], as `multiply_apart` reads it, one of values
// [16 slots][E]. A row's sums run over the slots in their order, NEAR_SLOTS at a time as counted from the block that its
// first one is in, masked slots adding exact zeros, so they depend on nothing but the row and the places of its keys. Keys that a row sees one by one (a tree's) are summed in the order of
// its own list.
#pragma once
#include "fp32.h"

#define NEAR_SLOTS 64  // values of so many slots stay in the nearest cache

static void keep_keys(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size, half = size / 2;
    float *own = work->own_keys + ((size_t)kv * pass->tokens + row) * size + 16 * part;
    float *keys = pass->keys + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size;
    for (int r = 0; r < rows; r++, own += size) {
        const int slot = pass->slot[row + r];
        float *to = keys + (size_t)(slot / 16) * 16 * size + 16 * part * 16 + slot % 16;
        Vec first[VECS], second[VECS];
        rotate(work, row + r, part, c + 32 * r, first, second);
        put_16(own, first);
        put_16(own + half, second);
        for (int i = 0; i < 16; i++) {
            to[16 * i] = own[i];
            to[16 * (half + i)] = own[half + i];
        }
    }
}

static void keep_values(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size;
    float *own = work->own_values + ((size_t)kv * pass->tokens + row) * size + 32 * part;
    float *values = pass->values + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size + 32 * part;
    for (int r = 0; r < rows; r++) {
        memcpy(own + (size_t)r * size, c + 32 * r, 128);
        memcpy(values + (size_t)pass->slot[row + r] * size, c + 32 * r, 128);
    }
}

// One row's softmax over slots [from, to): `scores`, products of query and keys, and `own`, those of its list, become
// weights relative to 2^highest. Gives their sum.
static inline float softmax(const Attention *at, int token, float *scores, int from, int to, float *own, int owned,
                            float *highest) {
    const int low = at->low[token], high = at->high[token];
    const uint8_t *mask = at->mask ? at->mask + (size_t)token * at->slots : NULL;
    for (int slot = from; slot < to; slot += 16) {
        float *some = scores + slot - from;
        if (slot < low || slot + 16 > high)
            for (int i = 0; i < 16; i++) some[i] = slot + i >= low && slot + i < high ? some[i] : -INFINITY;
        if (mask)
            for (int i = 0; i < (at->slots - slot < 16 ? at->slots - slot : 16); i++)
                some[i] = mask[slot + i] ? some[i] : -INFINITY;
    }
    Vec most = all(-INFINITY), sum = all(0);
    for (int i = 0; i < to - from; i += LANES) most = larger(most, load(scores + i));
    float top = largest_of(most);
    for (int j = 0; j < owned; j++) top = own[j] > top ? own[j] : top;
    top = top > -1e30f ? top : -1e30f;  // nothing seen: all weights are 0
    const Vec scale = all(1.0f / sqrtf((float)at->size)), tops = all(top) * scale;
    *highest = top * scale_of(at);
    for (int i = 0; i < to - from; i += LANES) {
        const Vec weight = exp_of(muladd(load(scores + i), scale, -tops));  // of what is not seen: exactly 0
        put(scores + i, weight);
        sum += weight;
    }
    float total = sum_of(sum);
    for (int j = 0; j < owned; j += LANES) put(own + j, exp_of(muladd(load(own + j), scale, -tops)));
    for (int j = 0; j < owned; j++) total += own[j];
    return total;
}

static inline float dot(const float *a, const float *b, int size) {
    Vec sum = all(0);
    for (int e = 0; e < size; e += LANES) sum = muladd(load(a + e), load(b + e), sum);
    return sum_of(sum);
}

// Numbers from one row of scores to the next: not a power of two, so that rows do not meet in the cache.
static inline size_t score_stride(int slots) { return up(slots, 32) + 16; }

// Bytes that a thread needs for attention over so many slots.
static inline size_t attention_room(int slots, int tokens, int size) {
    return TOGETHER * 4 * (score_stride(slots + 32) + (size_t)size) + ((size_t)tokens + 16) * 4;
}

// Up to TOGETHER rows from `row` on, of (t, g), over slots [from, to), multiples of 32, and over their own lists.
static void gather(const Attention *at, int row, int rows, int from, int to, uint8_t *room, Part *out) {
    const int size = at->size;
    const size_t stride = score_stride(to - from);
    const float *queries = at->queries + (size_t)row * size;
    float *scores = (float *)room, *own = scores + TOGETHER * stride;
    for (int slot = from; slot < to; slot += 16 * ACROSS) {
        const float *keys[ACROSS];
        for (int i = 0; i < ACROSS; i++) keys[i] = at->keys + (size_t)(slot + 16 * i) * size;
        if (rows <= ROWS) {  // so few use each key once: ask for them, and for the values, before they are needed
            fetch((const uint8_t *)keys[0] + AHEAD, ACROSS * 64 * size);
            fetch(at->values + (size_t)slot * size, ACROSS * 64 * size);
        }
        for (int r = 0; r < rows; r += ROWS)
            multiply_apart(rows - r < ROWS ? rows - r : ROWS, size, queries + (size_t)r * size, size, keys, 16,
                           scores + r * stride + slot - from, stride, 0);
    }
    for (int r = 0; r < rows; r++) {
        const int token = (row + r) / at->groups, owned = at->first ? at->first[token + 1] - at->first[token] : 0;
        const int32_t *list = at->first ? at->list + at->first[token] : NULL;
        float *values = out->values + (size_t)r * size;
        for (int j = 0; j < owned; j++)
            own[j] = dot(queries + (size_t)r * size, at->own_keys + (size_t)list[j] * size, size);
        out->totals[r] = softmax(at, token, scores + r * stride, from, to, own, owned, out->tops + r);
        for (int e = 0; e < size; e += LANES) {
            Vec sum = all(0);
            for (int j = 0; j < owned; j++)
                sum = muladd(all(own[j]), load(at->own_values + (size_t)list[j] * size + e), sum);
            put(values + e, sum);
        }
    }
    for (int slot = from; slot < to; slot += NEAR_SLOTS)
        for (int e = 0; e < size; e += 16 * ACROSS) {
            const float *values[ACROSS];
            for (int i = 0; i < ACROSS; i++) values[i] = at->values + (size_t)slot * size + e + 16 * i;
            for (int r = 0; r < rows; r += ROWS)
                multiply_apart(rows - r < ROWS ? rows - r : ROWS, to - slot < NEAR_SLOTS ? to - slot : NEAR_SLOTS,
                               scores + r * stride + slot - from, stride, values, size,
                               out->values + (size_t)r * size + e, size, 1);
        }
}
