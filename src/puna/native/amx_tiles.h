// Products of 16 x 32 by 32 x 16 bf16 tiles with sums in fp32. A row's sums do not depend on the rows beside it.
#pragma once
#include "amx_numbers.h"

static inline void enter(void) {
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } all __attribute__((aligned(64))) = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&all);
}

static inline void leave(void) { _tile_release(); }

// c[16 * rows][stride] = a · b over `blocks` of 32, or += with `more`. Row tile r of `a` begins at a + r * rows_apart,
// its block k at k * a_step from there, with `a_stride` bytes from row to row; the two column tiles' block k at
// b + k * b_step. `stream`: `a` is read once, and shall not push `b`, which is read again, out of the nearest cache.
static inline __attribute__((always_inline)) void multiply_tiles(
    int rows, int blocks, const bf16 *a, size_t rows_apart, size_t a_step, size_t a_stride, const bf16 *b0,
    const bf16 *b1, size_t b_step, float *c, size_t stride, int stream, int more) {
#define LOAD_A(tile, from) \
    do { \
        if (stream) _tile_stream_loadd(tile, from, a_stride); \
        else _tile_loadd(tile, from, a_stride); \
    } while (0)
    if (more) {
        _tile_loadd(0, c, 4 * stride);
        _tile_loadd(1, c + 16, 4 * stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
    }
    if (rows == 2) {
        const bf16 *lower = a + rows_apart;
        if (more) {
            _tile_loadd(2, c + 16 * stride, 4 * stride);
            _tile_loadd(3, c + 16 * stride + 16, 4 * stride);
        } else {
            _tile_zero(2);
            _tile_zero(3);
        }
        for (int k = 0; k < blocks; k++) {
            LOAD_A(4, a + k * a_step);
            _tile_loadd(6, b0 + k * b_step, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, b1 + k * b_step, 64);
            _tile_dpbf16ps(1, 4, 7);
            LOAD_A(5, lower + k * a_step);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(2, c + 16 * stride, 4 * stride);
        _tile_stored(3, c + 16 * stride + 16, 4 * stride);
    } else {
        for (int k = 0; k < blocks; k++) {
            LOAD_A(4, a + k * a_step);
            _tile_loadd(6, b0 + k * b_step, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, b1 + k * b_step, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
    }
    _tile_stored(0, c, 4 * stride);
    _tile_stored(1, c + 16, 4 * stride);
#undef LOAD_A
}
