// Vectors of floats as wide as the registers this is compiled for, in the compilers' own extension. What GCC or Clang
// would do badly, or only with options that reorder sums, is one instruction here.
#pragma once
#include <math.h>

#include "matrix.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#else
#include <arm_neon.h>
#define LANES 4
#endif
#define VECS (16 / LANES)  // 16 numbers, the outputs of a tile, are so many vectors

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef int16_t Shorts __attribute__((vector_size(2 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef Vec LooseVec __attribute__((aligned(1), may_alias));
typedef Bits LooseBits __attribute__((aligned(1), may_alias));
typedef Shorts LooseShorts __attribute__((aligned(1), may_alias));
typedef Halves LooseHalves __attribute__((aligned(1), may_alias));

#if defined(__clang__)
#define EACH _Pragma("clang loop unroll(full)")
#else
#define EACH _Pragma("GCC unroll 32")
#endif

static inline Vec load(const float *from) { return *(const LooseVec *)from; }
static inline void put(float *to, Vec value) { *(LooseVec *)to = value; }

#if LANES == 16
static inline Vec all(float x) { return _mm512_set1_ps(x); }
static inline Vec muladd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vec larger(Vec a, Vec b) { return _mm512_max_ps(a, b); }
static inline Vec smaller(Vec a, Vec b) { return _mm512_min_ps(a, b); }
static inline Vec load_halves(const uint8_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}
static inline int any_above(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline float sum_of(Vec x) { return _mm512_reduce_add_ps(x); }
static inline float largest_of(Vec x) { return _mm512_reduce_max_ps(x); }
#elif LANES == 8
static inline Vec all(float x) { return _mm256_set1_ps(x); }
static inline Vec muladd(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vec larger(Vec a, Vec b) { return _mm256_max_ps(a, b); }
static inline Vec smaller(Vec a, Vec b) { return _mm256_min_ps(a, b); }
static inline Vec load_halves(const uint8_t *from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)); }
static inline int any_above(Vec a, Vec b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
#else
static inline Vec all(float x) { return vdupq_n_f32(x); }
static inline Vec muladd(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
static inline Vec larger(Vec a, Vec b) { return vmaxq_f32(a, b); }
static inline Vec smaller(Vec a, Vec b) { return vminq_f32(a, b); }
static inline Vec load_halves(const uint8_t *from) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from)));
}
static inline int any_above(Vec a, Vec b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }
#endif

static inline Vec floats(Ints x) { return __builtin_convertvector(x, Vec); }

#if LANES < 16
// Sum and maximum of all lanes, always in the same order.
static inline float sum_of(Vec x) {
    float part[LANES];
    put(part, x);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

static inline float largest_of(Vec x) {
    float part[LANES];
    put(part, x);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) part[i] = part[i] > part[i + half] ? part[i] : part[i + half];
    return part[0];
}
#endif

// Sum and maximum of 16 numbers.
static inline float sum_of_16(const Vec x[VECS]) {
    Vec sum = x[0];
    for (int v = 1; v < VECS; v++) sum += x[v];
    return sum_of(sum);
}

static inline float largest_of_16(const Vec x[VECS]) {
    Vec most = x[0];
    for (int v = 1; v < VECS; v++) most = larger(most, x[v]);
    return largest_of(most);
}

static inline void load_16(const float *from, Vec out[VECS]) {
    EACH for (int v = 0; v < VECS; v++) out[v] = load(from + LANES * v);
}

static inline void put_16(float *to, const Vec values[VECS]) {
    EACH for (int v = 0; v < VECS; v++) put(to + LANES * v, values[v]);
}

#if LANES == 16
// 2^x with an error below 2 units in the last place; exactly 0 for -inf.
static inline Vec exp2_of(Vec x) {
    const Vec r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x); scalef takes the floor
    Vec p = all(1.8671303e-3f);  // least largest relative error on [0, 1) with p(0) = 1
    p = muladd(p, r, all(9.0170298e-3f));
    p = muladd(p, r, all(5.5799913e-2f));
    p = muladd(p, r, all(2.4016444e-1f));
    p = muladd(p, r, all(6.9315130e-1f));
    p = muladd(p, r, all(1.0f));
    return _mm512_scalef_ps(p, x);
}

static inline Vec exp_of(Vec x) { return exp2_of(x * all(1.44269504f)); }

// 1 / (1 + e^-x)
static inline Vec sigmoid(Vec x) {
    const Vec below = all(1.0f) + exp2_of(smaller(x * all(-1.44269504f), all(126.0f)));
    const Vec share = _mm512_rcp14_ps(below);  // 14 bits, and one step of Newton's: a division takes thrice that
    return share * (Vec)_mm512_fnmadd_ps(below, share, all(2.0f));
}

static inline Vec silu(Vec x) { return x * sigmoid(x); }
#else
// e^x with an error below 2 units in the last place up to 88; exactly 0 below -87 and for -inf.
static inline Vec exp_of(Vec x) {
    const Vec round = all(12582912.0f);  // 1.5 * 2^23: what is added to it loses its fraction
    const Vec shifted = muladd(x, all(1.44269504f), round), n = shifted - round;
    Vec r = muladd(n, all(-0.693359375f), x);
    r = muladd(n, all(2.12194440e-4f), r);
    Vec p = all(1.9875691500e-4f);  // Cephes' polynomial for [-ln 2 / 2, ln 2 / 2]
    p = muladd(p, r, all(1.3981999507e-3f));
    p = muladd(p, r, all(8.3334519073e-3f));
    p = muladd(p, r, all(4.1665795894e-2f));
    p = muladd(p, r, all(1.6666665459e-1f));
    p = muladd(p, r, all(5.0000001201e-1f));
    p = muladd(p, r * r, r + all(1.0f));
    const Vec power = (Vec)(((Bits)shifted + 127) << 23);  // the integer n stands in the low bits of `shifted`
    return (Vec)((Ints)(p * power) & (Ints)(x > all(-87.0f)));
}

// 1 / (1 + e^-x)
static inline Vec sigmoid(Vec x) { return all(1.0f) / (all(1.0f) + exp_of(smaller(-x, all(88.0f)))); }

static inline Vec silu(Vec x) { return x / (all(1.0f) + exp_of(smaller(-x, all(88.0f)))); }
#endif
