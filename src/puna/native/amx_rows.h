// One row of inputs times weights as they are stored, for the few rows of writing: no tile is unpacked.
#pragma once
#include "amx_unpack.h"

// Inputs as integers: x = scale * (128 * high + low) in each block of 32, high and low in int8. That keeps 15 bits of
// the block's largest, where bf16 keeps 8 of each, and the sums of products are exact.
typedef struct {
    const bf16 *x;
    const int8_t *high, *low;
    const float *scale, *sum;  // of each block; `sum` is that of its inputs
    const int32_t *offset;     // 128 times the sum of a block's integers
} Row;

static inline size_t row_bytes(int blocks) { return (size_t)blocks * (64 + 64 + 12) + 64; }

// Take row `row` of A-tiles; `room` has row_bytes.
static inline Row as_integers(const bf16 *tiles, int row, int blocks, uint8_t *room) {
    bf16 *run = (bf16 *)room;
    int8_t *high = (int8_t *)(run + 32 * blocks), *low = high + 32 * blocks;
    float *scale = (float *)(low + 32 * blocks), *sum = scale + blocks;
    int32_t *offset = (int32_t *)(sum + blocks);
    for (int block = 0; block < blocks; block++) {
        const bf16 *x = tiles + tile_place(row, block, blocks);
        memcpy(run + 32 * block, x, 64);
        __m512 a = load_bf16(x), b = load_bf16(x + 16);
        float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        scale[block] = most / 16256.0f;  // 127 * 128
        const __m512 by = _mm512_set1_ps(most > 0 ? 16256.0f / most : 0);
        int32_t total = 0;
        for (int half = 0; half < 2; half++) {
            __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(half ? b : a, by));
            __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(64)), 7);
            __m512i lower = _mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 7));
            _mm_storeu_si128((__m128i *)(high + 32 * block + 16 * half), _mm512_cvtepi32_epi8(upper));
            _mm_storeu_si128((__m128i *)(low + 32 * block + 16 * half), _mm512_cvtepi32_epi8(lower));
            total += _mm512_reduce_add_epi32(whole);
        }
        sum[block] = scale[block] * (float)total;
        offset[block] = 128 * total;
    }
    return (Row){run, high, low, scale, sum, offset};
}

// Four inputs, eight times, then the next four.
static inline __m512i two_fours(const int8_t *from) {
    const __m512i eights = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return _mm512_permutexvar_epi32(eights, _mm512_castsi128_si512(_mm_loadl_epi64((const __m128i *)from)));
}

static inline __m512 row_times_q4(const Row *x, const Tile *tile, int blocks) {
    const __m512i nibble = _mm512_set1_epi8(15);
    // Words (pair, output) of four pairs -> lanes of two pairs: outputs 0..7 with the first two, then with the others.
    const __m512i order = _mm512_setr_epi32(
        0x80000, 0x90001, 0xa0002, 0xb0003, 0xc0004, 0xd0005, 0xe0006, 0xf0007,
        0x180010, 0x190011, 0x1a0012, 0x1b0013, 0x1c0014, 0x1d0015, 0x1e0016, 0x1f0017);
    const uint8_t *data = tile->data;
    __m512 total = _mm512_setzero_ps(), least = total;
    for (int block = 0; block < blocks; block++, data += 320) {
        fetch(data + AHEAD, 320);
        __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
        for (int part = 0; part < 4; part++) {
            __m512i q = _mm512_permutexvar_epi16(order, _mm512_loadu_si512(data + 64 * part));
            __m512i first = _mm512_and_si512(q, nibble), second = _mm512_and_si512(_mm512_srli_epi16(q, 4), nibble);
            __m512i high = two_fours(x->high + 32 * block + 8 * part), low = two_fours(x->low + 32 * block + 8 * part);
            a = _mm512_dpbusd_epi32(a, first, high);
            b = _mm512_dpbusd_epi32(b, first, low);
            c = _mm512_dpbusd_epi32(c, second, high);
            d = _mm512_dpbusd_epi32(d, second, low);
        }
        a = _mm512_add_epi32(_mm512_slli_epi32(a, 7), b);
        c = _mm512_add_epi32(_mm512_slli_epi32(c, 7), d);
        __m512i sum = _mm512_add_epi32(_mm512_shuffle_i32x4(a, c, 0x44), _mm512_shuffle_i32x4(a, c, 0xee));
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(data + 256)));
        __m512 offset = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(data + 288)));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[block])), total);
        least = _mm512_fmadd_ps(offset, _mm512_set1_ps(x->sum[block]), least);
    }
    return _mm512_add_ps(total, least);
}

static inline __m512 row_times_q8(const Row *x, const Tile *tile, int blocks) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);  // dpbusd takes unsigned weights: 128 more, taken off again
    const __m512i order = _mm512_setr_epi32(
        0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
        0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
    const uint8_t *data = tile->data;
    __m512 total = _mm512_setzero_ps();
    for (int block = 0; block < blocks; block++, data += 544) {
        fetch(data + AHEAD, 544);
        const int8_t *upper = x->high + 32 * block, *lower = x->low + 32 * block;
        __m512i high = _mm512_setzero_si512(), low = high;
        for (int four = 0; four < 8; four++) {
            int32_t a, b;
            memcpy(&a, upper + 4 * four, 4);
            memcpy(&b, lower + 4 * four, 4);
            __m512i q = _mm512_permutexvar_epi16(order, _mm512_loadu_si512(data + 64 * four));
            q = _mm512_xor_si512(q, flip);
            high = _mm512_dpbusd_epi32(high, q, _mm512_set1_epi32(a));
            low = _mm512_dpbusd_epi32(low, q, _mm512_set1_epi32(b));
        }
        __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
        sum = _mm512_sub_epi32(sum, _mm512_set1_epi32(x->offset[block]));
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(data + 512)));
        total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[block])), total);
    }
    return total;
}

static inline __m512 row_times_bf16(const Row *row, const Tile *tile, int blocks) {
    const bf16 *data = (const bf16 *)tile->data;
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int block = 0; block < blocks; block++) {
        fetch(tile->data + 1024 * block + AHEAD, 1024);
        for (int pair = 0; pair < 16; pair++) {
            int two;
            memcpy(&two, row->x + 32 * block + 2 * pair, 4);
            __m512i weights = _mm512_loadu_si512(data + 512 * block + 32 * pair);
            sum[pair % 4] = _mm512_dpbf16_ps(sum[pair % 4], (__m512bh)weights, (__m512bh)_mm512_set1_epi32(two));
        }
    }
    return _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
}

// 16 outputs in fp32.
static inline __m512 row_times(const Row *row, const Tile *tile, int blocks) {
    if (tile->form == Q4) return row_times_q4(row, tile, blocks);
    return tile->form == Q8 ? row_times_q8(row, tile, blocks) : row_times_bf16(row, tile, blocks);
}

typedef struct {
    Row row[FEW];
    int count, blocks;
} FewRows;

static FewRows few_rows(const bf16 *tiles, int count, int blocks, uint8_t *room) {
    FewRows rows = {.count = count, .blocks = blocks};
    for (int r = 0; r < count; r++) rows.row[r] = as_integers(tiles, r, blocks, room + up(row_bytes(blocks), 64) * r);
    return rows;
}

// c[rows][32] = the rows times the two tiles of a strip.
static void multiply_few(const FewRows *rows, const Tile *tiles, float *c) {
    for (int r = 0; r < rows->count; r++)
        for (int tile = 0; tile < 2; tile++)
            _mm512_store_ps(c + 32 * r + 16 * tile, row_times(rows->row + r, tiles + tile, rows->blocks));
}
