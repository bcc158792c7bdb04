// Products in fp32 over packed weights, for CPUs without AMX. A row's sums do not depend on the rows beside it.
#pragma once
#include "vectors.h"

typedef float Number;
#define TOGETHER 24  // rows that attention takes at a time
#define CHUNK 240    // rows that meet a strip of unpacked weights in one task; both are multiples of ROWS
#include "model.h"

static inline void enter(void) {}
static inline void leave(void) {}

#if LANES == 16
#define ROWS 12   // rows and
#define ACROSS 2  // tiles whose sums fit into the registers together
#elif LANES == 8
#define ROWS 6
#define ACROSS 1
#else
#define ROWS 6
#define ACROSS 1
#endif
#define SUMS (ACROSS * VECS)

static inline void put_numbers(float *to, const Vec values[VECS]) { put_16(to, values); }
static inline void load_numbers(const float *from, Vec out[VECS]) { load_16(from, out); }

// Place of input `k` of row `row`: rows stand in groups of ROWS, one number of each row side by side, as they are
// multiplied. The few rows of writing stand one after the other.
static inline size_t place_of(int row, int k, int inputs, int few) {
    if (few) return (size_t)row * inputs + k;
    return ((size_t)(row / ROWS) * inputs + k) * ROWS + row % ROWS;
}

// 16 numbers of a row, from `k` on, into a matrix of inputs.
static inline void put_inputs(float *matrix, int row, int k, int inputs, int few, const Vec values[VECS]) {
    float *to = matrix + place_of(row, k, inputs, few), each[16];
    if (few) {
        put_16(to, values);
        return;
    }
    put_16(each, values);
    for (int i = 0; i < 16; i++) to[i * ROWS] = each[i];
}

// c[rows][stride] = or, with `more`, += the sums over k < depth of a[r * apart + k * step] * b[i][k * b_step + 0 .. 16).
static inline __attribute__((always_inline)) void multiply_rows(
    const int rows, int depth, const float *a, size_t apart, size_t step, const float *const b[ACROSS], size_t b_step,
    float *c, size_t stride, int more) {
    Vec sum[ROWS][SUMS];
    EACH for (int r = 0; r < rows; r++)
        EACH for (int v = 0; v < SUMS; v++) sum[r][v] = all(0);
    for (int k = 0; k < depth; k++) {
        Vec weight[SUMS];
        EACH for (int v = 0; v < SUMS; v++) weight[v] = load(b[v / VECS] + k * b_step + v % VECS * LANES);
        EACH for (int r = 0; r < rows; r++) {
            const Vec x = all(a[r * apart + k * step]);
            EACH for (int v = 0; v < SUMS; v++) sum[r][v] = muladd(x, weight[v], sum[r][v]);
        }
    }
    EACH for (int r = 0; r < rows; r++)
        EACH for (int v = 0; v < SUMS; v++) put(c + r * stride + LANES * v, more ? load(c + r * stride + LANES * v) + sum[r][v] : sum[r][v]);
}

#define CASE(n) \
    case n: \
        multiply_rows(n, depth, a, apart, step, b, b_step, c, stride, more); \
        return
#if ROWS > 6
#define CASES CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8); CASE(9); CASE(10); CASE(11); CASE(12)
#else
#define CASES CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6)
#endif

// As many of up to ROWS rows as there are, in a group of ROWS or, with `apart`, row by row.
static __attribute__((noinline)) void multiply_group(int rows, int depth, const float *a, const float *const b[ACROSS],
                                                     size_t b_step, float *c, size_t stride, int more) {
    const size_t apart = 1, step = ROWS;
    switch (rows) { CASES; }
}

static __attribute__((noinline)) void multiply_apart(int rows, int depth, const float *a, size_t apart,
                                                     const float *const b[ACROSS], size_t b_step, float *c,
                                                     size_t stride, int more) {
    const size_t step = 1;
    switch (rows) { CASES; }
}

// Weights of one pair of inputs for 16 outputs, as integers: the first input's and the second's.
static inline void pair_of_q4(const uint8_t *at, Vec first[VECS], Vec second[VECS]) {
#if LANES == 16
    // Eight shorts hold four nibbles each: (first, outputs 0-7), (first, 8-15), (second, 0-7), (second, 8-15).
    const Bits low = {0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
    const Vec table = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Bits four = (Bits)_mm512_cvtepu16_epi32(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)at)));
    first[0] = _mm512_permutexvar_ps((__m512i)(four >> low), table);  // looks at the low four bits only
    second[0] = _mm512_permutexvar_ps((__m512i)(four >> (low + 8)), table);
#else
    for (int v = 0; v < VECS / 2; v++) {
        const Bits four = __builtin_convertvector(*(const LooseHalves *)(at + 2 * LANES * v), Bits);
        first[v] = floats((Ints)(four & 15));
        first[v + VECS / 2] = floats((Ints)(four >> 4 & 15));
        second[v] = floats((Ints)(four >> 8 & 15));
        second[v + VECS / 2] = floats((Ints)(four >> 12));
    }
#endif
}

static inline void pair_of_q8(const uint8_t *at, Vec first[VECS], Vec second[VECS]) {
    for (int v = 0; v < VECS; v++) {
        const Ints both = __builtin_convertvector(*(const LooseShorts *)(at + 2 * LANES * v), Ints);
        first[v] = floats((Ints)((Bits)both << 24) >> 24);
        second[v] = floats(both >> 8);
    }
}

static inline void pair_of_bf16(const uint8_t *at, Vec first[VECS], Vec second[VECS]) {
    for (int v = 0; v < VECS; v++) {
        const Bits both = *(const LooseBits *)(at + 4 * LANES * v);
        first[v] = (Vec)(both << 16);
        second[v] = (Vec)(both & 0xffff0000);
    }
}

// A pair's weights in any form, and the numbers of its block that scale them: value = scale * integer + least.
static inline __attribute__((always_inline)) void pair_of(
    const int form, const uint8_t *block, int pair, Vec first[VECS], Vec second[VECS]) {
    if (form == Q4) pair_of_q4(block + 16 * pair, first, second);
    else if (form == Q8) pair_of_q8(block + 32 * pair, first, second);
    else if (form == BF16) pair_of_bf16(block + 64 * pair, first, second);
    else
        for (int v = 0; v < VECS; v++) {
            first[v] = load((const float *)block + 32 * pair + LANES * v);
            second[v] = load((const float *)block + 32 * pair + 16 + LANES * v);
        }
}

static inline __attribute__((always_inline)) void unpack_form(
    const int form, const uint8_t *block, int blocks, float *out) {
    for (; blocks--; block += block_bytes[form], out += 512) {
        fetch(block + AHEAD, block_bytes[form]);
        Vec scale[VECS], least[VECS];
        for (int v = 0; v < VECS && form != BF16; v++) {
            scale[v] = load_halves(block + (form == Q4 ? 256 : 512) + 2 * LANES * v);
            if (form == Q4) least[v] = load_halves(block + 288 + 2 * LANES * v);
        }
        for (int pair = 0; pair < 16; pair++) {
            Vec first[VECS], second[VECS];
            pair_of(form, block, pair, first, second);
            for (int v = 0; v < VECS; v++) {
                if (form == Q4) {
                    first[v] = muladd(first[v], scale[v], least[v]);
                    second[v] = muladd(second[v], scale[v], least[v]);
                } else if (form == Q8) {
                    first[v] *= scale[v];
                    second[v] *= scale[v];
                }
                put(out + 32 * pair + LANES * v, first[v]);
                put(out + 32 * pair + 16 + LANES * v, second[v]);
            }
        }
    }
}

// Blocks [start, start + blocks) of a tile, [32 * blocks][16]: the weights themselves, or unpacked into `room`.
static const float *in_fp32(const Tile *tile, int start, int blocks, float *room) {
    const uint8_t *data = tile->data + (size_t)start * block_bytes[tile->form];
    if (tile->form == F32) return (const float *)data;
    if (tile->form == Q4) unpack_form(Q4, data, blocks, room);
    else if (tile->form == Q8) unpack_form(Q8, data, blocks, room);
    else unpack_form(BF16, data, blocks, room);
    return room;
}

// The blocks that are multiplied at a time: their unpacked weights stay in the nearest cache, and sums of parts of this
// size added up come as near to the exact ones as torch's do.
#define NEAR 6

// c[rows][32] = rows [row, row + rows), `row` a multiple of ROWS, of grouped inputs times the two tiles of a strip. A
// row's sums run over the inputs in their order.
static void multiply_strip(const float *a, int row, int rows, const Tile *tiles, int blocks, uint8_t *room,
                           float *c) {
    const int parts = (blocks + NEAR - 1) / NEAR, size = (blocks + parts - 1) / parts;
    for (int start = 0; start < blocks; start += size) {
        const int count = start + size < blocks ? size : blocks - start;
        for (int tile = 0; tile < 2; tile += ACROSS) {
            const float *b[ACROSS];
            for (int i = 0; i < ACROSS; i++) b[i] = in_fp32(tiles + tile + i, start, count, (float *)room + i * NEAR * 512);
            for (int r = 0; r < rows; r += ROWS)
                multiply_group(rows - r < ROWS ? rows - r : ROWS, 32 * count,
                               a + place_of(row + r, 32 * start, 32 * blocks, 0), b, 16, c + 32 * r + 16 * tile, 32,
                               start > 0);
        }
    }
}

// One strip of a product for rows [start, start + rows).
static void multiply_many(const Product *product, int strip, int start, int rows, uint8_t *room) {
    const Matrix *matrix = product->matrix;
    float *sums = (float *)(room + ACROSS * NEAR * 2048);
    multiply_strip(product->a, start, rows, matrix->tiles + 2 * strip, matrix->blocks, room, sums);
    finish(product, strip, start, rows, sums);
}

// c[rows][32], 16 of them, = up to FEW rows times a tile with its weights as stored: sums over a block of integers
// times inputs, then the block's scale. `sums` are those of each row's inputs, block by block.
static inline __attribute__((always_inline)) void multiply_few_of(
    const int form, const int rows, const float *x, const float *sums, const uint8_t *block, int blocks, float *c) {
    Vec total[FEW][VECS], even[FEW][VECS], odd[FEW][VECS];
    EACH for (int r = 0; r < rows; r++)
        EACH for (int v = 0; v < VECS; v++) total[r][v] = even[r][v] = odd[r][v] = all(0);
    for (int n = 0; n < blocks; n++, block += block_bytes[form]) {
        fetch(block + AHEAD, block_bytes[form]);
        for (int pair = 0; pair < 16; pair++) {
            Vec first[VECS], second[VECS];
            pair_of(form, block, pair, first, second);
            EACH for (int r = 0; r < rows; r++) {
                const float *two = x + ((size_t)r * blocks + n) * 32 + 2 * pair;
                EACH for (int v = 0; v < VECS; v++) {
                    even[r][v] = muladd(first[v], all(two[0]), even[r][v]);
                    odd[r][v] = muladd(second[v], all(two[1]), odd[r][v]);
                }
            }
        }
        if (form != Q4 && form != Q8) continue;
        EACH for (int v = 0; v < VECS; v++) {
            const Vec scale = load_halves(block + (form == Q4 ? 256 : 512) + 2 * LANES * v);
            EACH for (int r = 0; r < rows; r++) {
                total[r][v] = muladd(even[r][v] + odd[r][v], scale, total[r][v]);
                even[r][v] = odd[r][v] = all(0);
                if (form == Q4) {
                    const Vec least = load_halves(block + 288 + 2 * LANES * v);
                    total[r][v] = muladd(least, all(sums[r * blocks + n]), total[r][v]);
                }
            }
        }
    }
    EACH for (int r = 0; r < rows; r++)
        EACH for (int v = 0; v < VECS; v++)
            put(c + 32 * r + LANES * v, form == Q4 || form == Q8 ? total[r][v] : even[r][v] + odd[r][v]);
}

typedef struct {
    const float *x, *sums;
    int count, blocks;
} FewRows;

static FewRows few_rows(const float *x, int count, int blocks, uint8_t *room) {
    float *sums = (float *)room;
    for (int n = 0; n < count * blocks; n++) {
        Vec sum = load(x + 32 * n);
        for (int i = LANES; i < 32; i += LANES) sum += load(x + 32 * n + i);
        sums[n] = sum_of(sum);
    }
    return (FewRows){x, sums, count, blocks};
}

// c[rows][32] = the rows times the two tiles of a strip.
static void multiply_few(const FewRows *rows, const Tile *tiles, float *c) {
    for (int tile = 0; tile < 2; tile++, tiles++) {
#define ROWS_OF(form, count) multiply_few_of(form, count, rows->x, rows->sums, tiles->data, rows->blocks, c + 16 * tile)
#define FORM(form) \
    case form: \
        if (rows->count == 1) ROWS_OF(form, 1); \
        else if (rows->count == 2) ROWS_OF(form, 2); \
        else ROWS_OF(form, 3); \
        break
        switch (tiles->form) { FORM(BF16); FORM(Q4); FORM(Q8); FORM(F32); }
    }
}

// Bytes that a thread needs for products of so many blocks.
static size_t product_room(int blocks) { return ACROSS * NEAR * 2048 + CHUNK * 128 + (size_t)blocks * FEW * 4; }
