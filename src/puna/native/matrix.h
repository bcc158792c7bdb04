// Weight matrices in column tiles: 16 outputs, cut along the inputs into blocks of 32.
//
// A block holds the weights of 16 pairs of inputs times 16 outputs, the order in which AMX reads its second operand.
// Forms: BF16, 1024 bytes a block. Q4 (ggml's Q4_0 and Q4_1), 320 bytes: value = scale * q + least, q of 0 to 15.
// Q8 (ggml's Q8_0), 544 bytes: value = scale * q. Scales are fp16, one for each output of a block, as in the file.
// F32, 2048 bytes: 32 inputs times 16 outputs, not in pairs; AMX does not take it.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

enum { BF16, Q4, Q8, F32 };
static const int block_bytes[] = {1024, 320, 544, 2048};

typedef struct {
    const uint8_t *data;
    int32_t form, pad;
} Tile;

typedef struct {
    const Tile *tiles;  // two of them, 32 outputs, are one strip of work
    const float *bias;  // one for each output in the tiles' order, or NULL
    int32_t strips, blocks;
} Matrix;

// What is used once a pass, in the order it lies in, is asked for so many bytes before.
#define AHEAD 4096
static inline void fetch(const void *data, int bytes) {
    for (int line = 0; line < bytes; line += 64) __builtin_prefetch((const char *)data + line, 0, 3);
}

static inline size_t up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static inline float from_bits(uint32_t bits) {
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline float from_bf16(bf16 value) { return from_bits((uint32_t)value << 16); }

static inline float from_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = half & 0x7fff;
    if (size >= 0x7c00) return from_bits(sign | 0x7f800000 | size << 13);  // infinite, or no number
    if (size < 0x400) return (sign ? -0x1p-24f : 0x1p-24f) * (float)size;
    return from_bits(sign | ((size << 13) + (112u << 23)));
}
