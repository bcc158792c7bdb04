// Grouped-query attention over a cache of tiles: 32 rows (t, g) of one kv-head at a time, softmax in fp32.
//
// The cache's slots come in blocks of 32. A block of keys is [2 halves][E / 32][16 pairs of dimensions][16 slots][2],
// one of values [E / 16][16 pairs of slots][16 dimensions][2]: both are read by AMX as they stand.
// A row's softmax goes on through its slots, NEARBY at a time as counted from the block that its first one is in; its
// sums run over the blocks in their order, masked slots adding exact zeros. So they depend on nothing but the row and the
// places of its keys. Keys that a row sees one by one (a tree's) are summed in the order of its own list.
#pragma once
#include <float.h>

#include "amx_tiles.h"

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
        __m512 a = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(scores + slot), scale, tops));
        __m512 b = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(scores + slot + 16), scale, tops));
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
static inline size_t attention_room(int slots, int tokens, int size) {
    (void)slots;  // they come NEARBY at a time
    return 32 * NEARBY * 6 + 32 * (size_t)size * 4 + (size_t)tokens * 4 + 4096;
}

// Up to 32 rows from `row` on, of (t, g), over slots [from, to), multiples of 32, some at a time.
static void gather_slots(const Attention *at, int row, int rows, int from, int to, uint8_t *room, Part *part) {
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
            _mm512_mask_storeu_ps(own + j, some, exp2_of(e));
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

// Up to 32 rows from `row` on, of (t, g), over slots [from, to), multiples of 32, and over their own lists.
static void gather(const Attention *at, int row, int rows, int from, int to, uint8_t *room, Part *part) {
    gather_slots(at, row, rows, from, to, room, part);
    if (at->first) gather_own(at, row, rows, room, part);
}

// Rotate as `rotate` does, into a row of E; gives the 16 pairs of dimensions.
static inline __m512i turn(const Work *work, int token, int part, const float *c, bf16 *to) {
    Vec a[VECS], b[VECS];
    rotate(work, token, part, c, a, b);
    __m256i first = to_bf16(a[0]), second = to_bf16(b[0]);
    _mm256_storeu_si256((__m256i *)(to + 16 * part), first);
    _mm256_storeu_si256((__m256i *)(to + work->model->size / 2 + 16 * part), second);
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

static void keep_keys(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size, first = 16 * part, second = size / 2 + 16 * part;
    bf16 *own = work->own_keys + ((size_t)kv * pass->tokens + row) * size;
    bf16 *keys = pass->keys + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size;
    for (int r = 0; r < rows;) {
        __m512i pairs[16];
        if (rows - r >= 16 && in_line(pass->slot + row + r, 16)) {
            for (int i = 0; i < 16; i++)
                pairs[i] = turn(work, row + r + i, part, c + 32 * (r + i), own + (size_t)(r + i) * size);
            put_keys(keys, size, pass->slot[row + r], first, second, pairs);
            r += 16;
            continue;
        }
        uint32_t each[16];
        _mm512_storeu_si512(each, turn(work, row + r, part, c + 32 * r, own + (size_t)r * size));
        for (int i = 0; i < 8; i++) {
            put_key(keys, size, pass->slot[row + r], first + 2 * i, each[i]);
            put_key(keys, size, pass->slot[row + r], second + 2 * i, each[8 + i]);
        }
        r++;
    }
}

static void keep_values(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size, e = 32 * part;
    bf16 *own = work->own_values + ((size_t)kv * pass->tokens + row) * size + e;
    bf16 *values = pass->values + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size;
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 32; half += 16)
            _mm256_storeu_si256((__m256i *)(own + (size_t)r * size + half), to_bf16(_mm512_load_ps(c + 32 * r + half)));
    for (int r = 0; r < rows;) {
        const bf16 *here = own + (size_t)r * size;
        const int slot = pass->slot[row + r];
        if (rows - r >= 2 && in_line(pass->slot + row + r, 2)) {
            for (int half = 0; half < 32; half += 16)
                put_values(values, size, slot, e + half, _mm256_loadu_si256((const __m256i *)(here + half)),
                           _mm256_loadu_si256((const __m256i *)(here + size + half)));
            r += 2;
            continue;
        }
        for (int i = 0; i < 32; i++) put_value(values, size, slot, e + i, here[i]);
        r++;
    }
}
