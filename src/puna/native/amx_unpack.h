// Column tiles in bf16, for AMX.
#pragma once
#include "amx_numbers.h"

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
        const uint8_t *data = tile->data + (size_t)block_bytes[tile->form] * block;
        fetch(data + AHEAD, block_bytes[tile->form]);
        if (tile->form == Q4) unpack_q4(data, room + 512 * block);
        else unpack_q8(data, room + 512 * block);
    }
    return room;
}
