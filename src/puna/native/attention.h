// Grouped-query attention over a cache of tiles: 32 rows (t, g) of one kv-head at a time, softmax in fp32.
//
// The cache's slots come in blocks of 32. A block of keys is [2 halves][E / 32][16 pairs of dimensions][16 slots][2],
// one of values [E / 16][16 pairs of slots][16 dimensions][2]: both are read by AMX as they stand.
// A row's softmax goes on through its slots, NEARBY at a time as counted from the block that its first one is in; its
// sums run over the blocks in their order, masked slots adding exact zeros. So they depend on nothing but the row and the
// places of its keys. Keys that a row sees one by one (a tree's) are summed in the order of its own list.
#pragma once
#include <float.h>
#include <math.h>

#include "amx.h"

typedef struct {
    bf16 *keys, *values;  // of one layer and kv-head
    const bf16 *own_keys, *own_values;  // the new tokens', row by row [T, E]
    const bf16 *queries;  // [T * G rows, E], readable to a multiple of 32 rows
    const int32_t *low, *high;  // slots [low, high) that token t may see
    const uint8_t *mask;  // [T, slots] or NULL
    const int32_t *first, *list;  // token t also sees the new tokens list[first[t] .. first[t + 1]), or NULL
    int32_t tokens, groups, size, slots;
} Attention;

static inline void put_key(bf16 *keys, int size, int slot, int dimension, uint32_t pair) {
    bf16 *block = keys + (size_t)(slot / 32) * 32 * size;
    int half = slot % 32 / 16;
    memcpy(block + (half * (size / 32) + dimension / 32) * 512 + dimension % 32 / 2 * 32 + slot % 16 * 2, &pair, 4);
}

static inline void put_value(bf16 *values, int size, int slot, int dimension, bf16 value) {
    bf16 *block = values + (size_t)(slot / 32) * 32 * size;
    block[dimension / 16 * 512 + slot % 32 / 2 * 32 + dimension % 16 * 2 + slot % 2] = value;
}

// 16 tokens' keys at once, in slots from a multiple of 16 on; pairs[token] has 8 pairs of dimensions from `dimension`
// and 8 from `other` on.
static inline void put_keys(bf16 *keys, int size, int slot, int dimension, int other, __m512i pairs[16]) {
    bf16 *block = keys + (size_t)(slot / 32) * 32 * size + slot % 32 / 16 * (size / 32) * 512;
    transpose(pairs);
    for (int i = 0; i < 8; i++) {
        _mm512_store_si512(block + dimension / 32 * 512 + (dimension % 32 / 2 + i) * 32, pairs[i]);
        _mm512_store_si512(block + other / 32 * 512 + (other % 32 / 2 + i) * 32, pairs[8 + i]);
    }
}

// 16 dimensions of the values of two tokens, in an even slot and the next.
static inline void put_values(bf16 *values, int size, int slot, int dimension, __m256i even, __m256i odd) {
    bf16 *block = values + (size_t)(slot / 32) * 32 * size + dimension / 16 * 512 + slot % 32 / 2 * 32;
    __m512i low = _mm512_cvtepu16_epi32(even), high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16);
    _mm512_store_si512(block, _mm512_or_si512(low, high));
}

// What up to 32 rows took from a range of slots: sums of values, weighted relative to 2^top, and of the weights.
typedef struct {
    float *values;  // [32, E]
    float tops[32], totals[32];
} Part;

// What takes scores to exponents of 2.
static inline float scale_of(const Attention *at) { return 1.44269504f / sqrtf((float)at->size); }

// A new highest exponent for a row: what it has becomes relative to it.
static inline void raise(Part *part, int row, float top, int size) {
    if (top == part->tops[row]) return;
    const float by = exp2f(part->tops[row] - top);
    part->tops[row] = top;
    part->totals[row] *= by;
    for (int e = 0; e < size; e += 16) {
        float *values = part->values + (size_t)row * size + e;
        _mm512_store_ps(values, _mm512_mul_ps(_mm512_load_ps(values), _mm512_set1_ps(by)));
    }
}

// The highest of one row's scores over slots [from, to); those of slots that its token may not see become -inf.
static inline float highest(const Attention *at, int token, float *scores, int from, int to) {
    const __m512 none = _mm512_set1_ps(-INFINITY);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const int low = at->low[token], high = at->high[token];
    const uint8_t *mask = at->mask ? at->mask + (size_t)token * at->slots : NULL;
    __m512 most = none;
    for (int slot = from; slot < to; slot += 16) {
        __m512 value = _mm512_load_ps(scores + slot - from);
        if (mask || slot < low || slot + 16 > high) {
            __m512i here = _mm512_add_epi32(lanes, _mm512_set1_epi32(slot));
            __mmask16 seen = _mm512_cmpge_epi32_mask(here, _mm512_set1_epi32(low))
                & _mm512_cmplt_epi32_mask(here, _mm512_set1_epi32(high));
            if (mask) {
                const __mmask16 exist = first_lanes(at->slots - slot);
                seen &= _mm_test_epi8_mask(_mm_maskz_loadu_epi8(exist, mask + slot), _mm_set1_epi8(-1));
            }
            value = _mm512_mask_mov_ps(none, seen, value);
            _mm512_store_ps(scores + slot - from, value);
        }
        most = _mm512_max_ps(most, value);
    }
    return _mm512_reduce_max_ps(most);
}

// One row's scores -> bf16 weights relative to 2^top, 32 a block at distances of 512. Gives their sum.
static inline float weigh(const float *scores, bf16 *weights, int count, float by, float top) {
    const __m512 scale = _mm512_set1_ps(by), tops = _mm512_set1_ps(top > -FLT_MAX ? top : -FLT_MAX);  // nothing seen: all are 0
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    __m512 sum = _mm512_setzero_ps();
    for (int slot = 0; slot < count; slot += 32) {
        __m512 a = exp2_ps(_mm512_fmsub_ps(_mm512_load_ps(scores + slot), scale, tops));
        __m512 b = exp2_ps(_mm512_fmsub_ps(_mm512_load_ps(scores + slot + 16), scale, tops));
        __m512bh both = _mm512_cvtne2ps_pbh(b, a);
        sum = _mm512_dpbf16_ps(sum, both, ones);  // of the weights as they are used, so that they add up to 1
        _mm512_store_si512(weights + (size_t)slot * 16, (__m512i)both);
    }
    return _mm512_reduce_add_ps(sum);
}

static inline float dot(const bf16 *a, const bf16 *b, int size) {
    __m512 sum = _mm512_setzero_ps();
    for (int e = 0; e < size; e += 16) sum = _mm512_fmadd_ps(load_bf16(a + e), load_bf16(b + e), sum);
    return _mm512_reduce_add_ps(sum);
}

#define NEARBY 256  // slots whose scores, of 32 rows, stay in the nearest cache

// Bytes that attention over so many slots needs for itself.
static inline size_t attention_room(int tokens, int size) {
    return 32 * NEARBY * 6 + 32 * (size_t)size * 4 + (size_t)tokens * 4 + 4096;
}

static inline int rows_from(const Attention *at, int row) {
    const int rows = at->tokens * at->groups - row;
    return rows > 32 ? 32 : rows;
}

// Up to 32 rows from `row` on, of (t, g), over slots [from, to), multiples of 32, some at a time.
static void gather(const Attention *at, int row, int rows, int from, int to, uint8_t *room, Part *part) {
    const int size = at->size, deep = size / 32, halves = rows > 16 ? 2 : 1;
    const float scale = scale_of(at);
    float *scores = (float *)room;
    bf16 *weights = (bf16 *)(scores + 32 * NEARBY);
    memset(part->values, 0, (size_t)32 * size * 4);
    for (int r = 0; r < rows; r++) {
        part->tops[r] = -INFINITY;
        part->totals[r] = 0;
    }
    for (int start = from, end; start < to; start = end) {
        end = start + NEARBY < to ? start + NEARBY : to;
        const int blocks = (end - start) / 32;
        for (int block = 0; block < blocks; block++) {
            const size_t place = ((size_t)start / 32 + block) * 32 * size;
            const bf16 *keys = at->keys + place;
            if (rows <= 16) {  // so few use each key once: ask for them, and for the values, before they are needed
                fetch((const uint8_t *)keys + AHEAD, 64 * size);
                fetch(at->values + place, 64 * size);
            }
            multiply_tiles(halves, deep, at->queries + (size_t)row * size, (size_t)16 * size, 32, (size_t)2 * size, keys,
                           keys + 512 * deep, 512, scores + 32 * block, NEARBY, 0, 0);
        }
        for (int r = 0; r < rows; r++) {
            bf16 *row_weights = weights + r / 16 * NEARBY * 16 + r % 16 * 32;
            const float top = highest(at, (row + r) / at->groups, scores + r * NEARBY, start, end) * scale;
            if (top > part->tops[r]) raise(part, r, top, size);
            part->totals[r] += weigh(scores + r * NEARBY, row_weights, end - start, scale, part->tops[r]);
        }
        for (int e = 0; e < size; e += 32) {
            const bf16 *values = at->values + (size_t)start * size + e * 32;
            multiply_tiles(halves, blocks, weights, NEARBY * 16, 512, 64, values, values + 512, (size_t)32 * size,
                           part->values + e, size, 0, 1);
        }
    }
}

// The same rows over their own lists, in fp32, after what they took from slots.
static void gather_own(const Attention *at, int row, int rows, uint8_t *room, Part *part) {
    const int size = at->size;
    float *own = (float *)room;
    for (int r = 0; r < rows; r++) {
        const int token = (row + r) / at->groups, count = at->first[token + 1] - at->first[token];
        const int32_t *list = at->list + at->first[token];
        const bf16 *query = at->queries + (size_t)(row + r) * size;
        float top = part->tops[r];
        for (int j = 0; j < count; j++) {
            own[j] = dot(query, at->own_keys + (size_t)list[j] * size, size) * scale_of(at);
            top = own[j] > top ? own[j] : top;
        }
        raise(part, r, top, size);
        for (int j = 0; j < count; j += 16) {
            const __mmask16 some = first_lanes(count - j);
            __m512 e = _mm512_sub_ps(_mm512_maskz_loadu_ps(some, own + j), _mm512_set1_ps(top));
            _mm512_mask_storeu_ps(own + j, some, exp2_ps(e));
        }
        for (int j = 0; j < count; j++) part->totals[r] += own[j];
        for (int e = 0; e < size; e += 16) {
            __m512 sum = _mm512_load_ps(part->values + (size_t)r * size + e);
            for (int j = 0; j < count; j++) {
                const bf16 *value = at->own_values + (size_t)list[j] * size + e;
                sum = _mm512_fmadd_ps(_mm512_set1_ps(own[j]), load_bf16(value), sum);
            }
            _mm512_store_ps(part->values + (size_t)r * size + e, sum);
        }
    }
}

// Put a row (t, g)'s E numbers, in bf16, at place (t, g * E) of a matrix in A-tiles [row / 16][out_blocks][16][32].
static inline void put_row(const Attention *at, int row, const float *values, float total, bf16 *out, int out_blocks) {
    const int token = row / at->groups, group = row % at->groups;
    const __m512 by = _mm512_set1_ps(1.0f / total);
    for (int e = 0; e < at->size; e += 16) {
        bf16 *to = out + tile_place(token, (group * at->size + e) / 32, out_blocks) + e % 32;
        _mm256_store_si256((__m256i *)to, to_bf16(_mm512_mul_ps(_mm512_load_ps(values + e), by)));
    }
}

static inline int first_block(const Attention *at, int row) {
    const int token = row / at->groups;
    return at->low[token] < at->high[token] ? at->low[token] / 32 : -1;
}

// Rows [row, row + 32) of (t, g), all that they see. Those that begin in different blocks (packed prompts') go apart: a
// row's slots are cut as they are counted from its own beginning.
static void attend(const Attention *at, int row, bf16 *out, int out_blocks, uint8_t *room) {
    Part part = {.values = (float *)room};
    room += (size_t)32 * at->size * 4;
    for (int end = row + rows_from(at, row), next; row < end; row = next) {
        const int from = first_block(at, row);
        int to = 0;
        for (next = row; next < end && first_block(at, next) == from; next++) {
            const int high = at->high[next / at->groups];
            to = high > to ? high : to;
        }
        gather(at, row, next - row, from < 0 ? 0 : from * 32, from < 0 ? 0 : (to + 31) / 32 * 32, room, &part);
        if (at->first) gather_own(at, row, next - row, room, &part);
        for (int r = 0; r < next - row; r++)
            put_row(at, row + r, part.values + (size_t)r * at->size, part.totals[r], out, out_blocks);
    }
}

// What rows took from several ranges, put together in the ranges' order; parts[0] is used up.
static void merge(const Attention *at, Part *parts, int count, bf16 *out, int out_blocks) {
    for (int row = 0; row < rows_from(at, 0); row++) {
        float top = -INFINITY, total = 0;
        for (int i = 0; i < count; i++) top = parts[i].tops[row] > top ? parts[i].tops[row] : top;
        float *sum = parts[0].values + (size_t)row * at->size;
        for (int i = 0; i < count; i++) {
            const float by = exp2f(parts[i].tops[row] - top), *values = parts[i].values + (size_t)row * at->size;
            total += by * parts[i].totals[row];
            for (int e = 0; e < at->size; e += 16) {
                __m512 before = i ? _mm512_load_ps(sum + e) : _mm512_setzero_ps();
                _mm512_store_ps(sum + e, _mm512_fmadd_ps(_mm512_set1_ps(by), _mm512_load_ps(values + e), before));
            }
        }
        put_row(at, row, sum, total, out, out_blocks);
    }
}
