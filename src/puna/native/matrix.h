// Weight matrices in column tiles: 16 outputs, cut along the inputs into blocks of 32.
//
// A block holds the weights of 16 pairs of inputs times 16 outputs, the order in which AMX reads its second operand.
// Forms: BF16, 1024 bytes a block. Q4 (ggml's Q4_0 and Q4_1), 320 bytes: value = scale * q + least, q of 0 to 15.
// Q8 (ggml's Q8_0), 544 bytes: value = scale * q. Scales are fp16, one for each output of a block, as in the file.
#pragma once
#include "simd.h"

enum { BF16, Q4, Q8 };
static const int block_bytes[] = {1024, 320, 544};

typedef struct {
    const uint8_t *data;
    int32_t form, pad;
} Tile;

typedef struct {
    const Tile *tiles;  // two of them, 32 outputs, are one strip of work
    const float *bias;  // one for each output in the tiles' order, or NULL
    int32_t strips, blocks;
} Matrix;

static const float integers[16] __attribute__((aligned(64))) = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// fp16 of 16 outputs -> fp32, each twice: those of outputs 0..7 and of 8..15.
static inline void doubled(const uint8_t *half, __m512 out[2]) {
    const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512 value = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)half));
    out[0] = _mm512_permutexvar_ps(low, value);
    out[1] = _mm512_permutexvar_ps(_mm512_add_epi32(low, _mm512_set1_epi32(8)), value);
}

static inline void unpack_q4(const uint8_t *block, bf16 *out) {
    __m512 scale[2], least[2];
    doubled(block + 256, scale);
    doubled(block + 288, least);
    const __m512 table = _mm512_load_ps(integers);
    for (int pair = 0; pair < 16; pair++) {
        __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(block + 16 * pair)));
        __m512 first = _mm512_permutexvar_ps(both, table);  // looks at the low four bits only
        __m512 second = _mm512_cvtepi32_ps(_mm512_srli_epi32(both, 4));
        first = _mm512_fmadd_ps(first, scale[0], least[0]);
        second = _mm512_fmadd_ps(second, scale[1], least[1]);
        _mm512_store_si512(out + 32 * pair, (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

static inline void unpack_q8(const uint8_t *block, bf16 *out) {
    __m512 scale[2];
    doubled(block + 512, scale);
    for (int pair = 0; pair < 16; pair++) {
        const __m128i *in = (const __m128i *)(block + 32 * pair);
        __m512 first = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(in)));
        __m512 second = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(in + 1)));
        first = _mm512_mul_ps(first, scale[0]);
        second = _mm512_mul_ps(second, scale[1]);
        _mm512_store_si512(out + 32 * pair, (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

// Give a tile's blocks in bf16: the weights themselves, or unpacked into `room`.
static inline const bf16 *in_bf16(const Tile *tile, int blocks, bf16 *room) {
    if (tile->form == BF16) return (const bf16 *)tile->data;
    for (int block = 0; block < blocks; block++) {
        if (tile->form == Q4) unpack_q4(tile->data + (size_t)320 * block, room + 512 * block);
        else unpack_q8(tile->data + (size_t)544 * block, room + 512 * block);
    }
    return room;
}

// One row of inputs (bf16, and their sums by blocks) times a tile: 16 outputs in fp32.
static inline __m512 row_times_q4(const bf16 *x, const float *sums, const Tile *tile, int blocks) {
    static const uint16_t halves[32] __attribute__((aligned(64))) = {  // 0 to 15 in bf16, twice
        0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0x4100, 0x4110, 0x4120, 0x4130, 0x4140, 0x4150,
        0x4160, 0x4170, 0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0x4100, 0x4110, 0x4120, 0x4130,
        0x4140, 0x4150, 0x4160, 0x4170};
    const __m512i table = _mm512_load_si512(halves);
    const __m512i eights = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m512 low = _mm512_setzero_ps(), high = low, least = low;
    for (int block = 0; block < blocks; block++) {
        const uint8_t *data = tile->data + (size_t)320 * block;
        __m512i pairs = _mm512_loadu_si512(x + 32 * block);
        __m512 a = _mm512_setzero_ps(), b = a;
        for (int two = 0; two < 8; two++) {  // pairs 2i and 2i+1, one in each half of a register
            __m512i q = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(data + 32 * two)));
            __m512i inputs = _mm512_permutexvar_epi32(_mm512_add_epi32(eights, _mm512_set1_epi32(2 * two)), pairs);
            a = _mm512_dpbf16_ps(a, (__m512bh)_mm512_permutexvar_epi16(q, table), (__m512bh)inputs);
            q = _mm512_srli_epi16(q, 4);
            b = _mm512_dpbf16_ps(b, (__m512bh)_mm512_permutexvar_epi16(q, table), (__m512bh)inputs);
        }
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(data + 256)));
        low = _mm512_fmadd_ps(a, _mm512_shuffle_f32x4(scale, scale, 0x44), low);
        high = _mm512_fmadd_ps(b, _mm512_shuffle_f32x4(scale, scale, 0xee), high);
        __m512 offset = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(data + 288)));
        least = _mm512_fmadd_ps(offset, _mm512_set1_ps(sums[block]), least);
    }
    __m512 ends = _mm512_shuffle_f32x4(low, high, 0x44), others = _mm512_shuffle_f32x4(low, high, 0xee);
    return _mm512_add_ps(_mm512_add_ps(ends, others), least);
}

static inline __m512 row_times_q8(const bf16 *x, const Tile *tile, int blocks) {
    __m512 low = _mm512_setzero_ps(), high = low;
    for (int block = 0; block < blocks; block++) {
        const uint8_t *data = tile->data + (size_t)544 * block;
        __m512 a = _mm512_setzero_ps(), b = a;
        for (int pair = 0; pair < 16; pair++) {
            const __m128i *in = (const __m128i *)(data + 32 * pair);
            uint32_t two;
            memcpy(&two, x + 32 * block + 2 * pair, 4);
            // x0, x1, x0, x1, ...: bf16 is the upper half of fp32
            __m512i both = _mm512_set1_epi32((int)two);
            __m512i inputs = _mm512_mask_slli_epi32(
                _mm512_and_si512(both, _mm512_set1_epi32((int)0xffff0000u)), 0x5555, both, 16);
            a = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(in))), (__m512)inputs, a);
            b = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(in + 1))), (__m512)inputs, b);
        }
        __m512 scale[2];
        doubled(data + 512, scale);
        low = _mm512_fmadd_ps(a, scale[0], low);
        high = _mm512_fmadd_ps(b, scale[1], high);
    }
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    return _mm512_add_ps(_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high));
}

static inline __m512 row_times_bf16(const bf16 *x, const Tile *tile, int blocks) {
    const bf16 *data = (const bf16 *)tile->data;
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int block = 0; block < blocks; block++) {
        for (int pair = 0; pair < 16; pair++) {
            int two;
            memcpy(&two, x + 32 * block + 2 * pair, 4);
            __m512i weights = _mm512_loadu_si512(data + 512 * block + 32 * pair);
            sum[pair % 4] = _mm512_dpbf16_ps(sum[pair % 4], (__m512bh)weights, (__m512bh)_mm512_set1_epi32(two));
        }
    }
    return _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
}

static inline __m512 row_times(const bf16 *x, const float *sums, const Tile *tile, int blocks) {
    if (tile->form == Q4) return row_times_q4(x, sums, tile, blocks);
    return tile->form == Q8 ? row_times_q8(x, tile, blocks) : row_times_bf16(x, tile, blocks);
}
