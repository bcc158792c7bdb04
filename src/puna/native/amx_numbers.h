// Numbers and their places as AMX takes them: bf16, in tiles.
#pragma once
#include "vectors.h"

typedef bf16 Number;
#include "model.h"

// The first `count` of 16 lanes: none below 1, all from 16 on.
static inline __mmask16 first_lanes(int count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// Where block `block` of row `row` stands in a matrix of A-tiles, [row / 16][blocks][16][32].
static inline size_t tile_place(int row, int block, int blocks) {
    return ((size_t)(row / 16) * blocks + block) * 512 + row % 16 * 32;
}

static inline __m512 load_bf16(const bf16 *from) {
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16);
}

static inline __m256i to_bf16(__m512 value) { return (__m256i)_mm512_cvtneps_pbh(value); }

static inline void put_numbers(Number *to, const Vec values[VECS]) {
    _mm256_storeu_si256((__m256i *)to, to_bf16(values[0]));
}

static inline void load_numbers(const Number *from, Vec out[VECS]) { out[0] = load_bf16(from); }

// 16 numbers of a row, from `k` on, into a matrix of A-tiles.
static inline void put_inputs(Number *matrix, int row, int k, int inputs, int few, const Vec values[VECS]) {
    (void)few;  // the few rows of writing stand in tiles as well
    put_numbers(matrix + tile_place(row, k / 32, inputs / 32) + k % 32, values);
}

// 16 rows of 16 -> 16 columns.
static inline void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {  // r[4 j + i] holds columns i, i + 4, i + 8, i + 12 of rows 4 j .. 4 j + 3
        __m512i a = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        __m512i c = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd), d = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_i32x4(a, b, 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
        t[4 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
    for (int i = 0; i < 16; i++) r[i] = t[i];
}
