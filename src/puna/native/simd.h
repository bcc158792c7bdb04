// What the rooms above need of AVX-512: bf16 and back, exp, sums.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

// What is used once a pass, in the order it lies in, is asked for so many bytes before.
#define AHEAD 4096
static inline void fetch(const void *data, int bytes) {
    for (int line = 0; line < bytes; line += 64) _mm_prefetch((const char *)data + line, _MM_HINT_T0);
}

// The first `count` of 16 lanes: none below 1, all from 16 on.
static inline __mmask16 first_lanes(int count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// Where block `block` of row `row` stands in a matrix of A-tiles, [row / 16][blocks][16][32].
static inline size_t tile_place(int row, int block, int blocks) {
    return ((size_t)(row / 16) * blocks + block) * 512 + row % 16 * 32;
}

static inline float from_bf16(bf16 value) {
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline __m512 load_bf16(const bf16 *from) {
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16);
}

static inline __m256i to_bf16(__m512 value) { return (__m256i)_mm512_cvtneps_pbh(value); }

// 2^x with an error below 2 units in the last place; exactly 0 for -inf.
static inline __m512 exp2_ps(__m512 x) {
    __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x); scalef takes the floor
    __m512 p = _mm512_set1_ps(1.8671303e-3f);  // least largest relative error on [0, 1) with p(0) = 1
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.0170298e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5799913e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4016444e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9315130e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, x);
}

static inline __m512 exp_ps(__m512 x) { return exp2_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f))); }

// x / (1 + e^-x)
static inline __m512 silu(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.0f), two = _mm512_set1_ps(2.0f), most = _mm512_set1_ps(126.0f);
    __m512 below = exp2_ps(_mm512_min_ps(_mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)), most));
    below = _mm512_add_ps(one, below);
    __m512 share = _mm512_rcp14_ps(below);  // 14 bits, and one step of Newton's for the rest: a division takes thrice that
    share = _mm512_mul_ps(share, _mm512_fnmadd_ps(below, share, two));
    return _mm512_mul_ps(x, share);
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
