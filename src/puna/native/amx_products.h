// Products of rows in A-tiles with strips of weights.
#pragma once
#include "amx_rows.h"
#include "amx_tiles.h"

// The blocks of a product that are multiplied at a time: two column tiles of them, 36 KiB, stay in the nearest cache.
#define NEAR 18

// c[rows][32] for `rows` rows of A-tiles times two column tiles. Sums run over the blocks in their order.
static void multiply_unpacked(int rows, int blocks, const bf16 *a, const bf16 *b0, const bf16 *b1, float *c) {
    const int parts = (blocks + NEAR - 1) / NEAR, size = (blocks + parts - 1) / parts;
    for (int start = 0; start < blocks; start += size) {
        const int count = start + size < blocks ? size : blocks - start;
        for (int row = 0; row < rows; row += 32) {
            const bf16 *tiles = a + ((size_t)(row / 16) * blocks + start) * 512;
            const bf16 *b = b0 + (size_t)start * 512, *d = b1 + (size_t)start * 512;
            if (start) multiply_tiles(rows - row > 16 ? 2 : 1, count, tiles, (size_t)blocks * 512, 512, 64, b, d, 512,
                                      c + 32 * row, 32, 1, 1);
            else multiply_tiles(rows - row > 16 ? 2 : 1, count, tiles, (size_t)blocks * 512, 512, 64, b, d, 512,
                                c + 32 * row, 32, 1, 0);
        }
    }
}

// c[rows][32] = rows from `row` on, a multiple of 16, times the two tiles of a strip.
static void multiply_strip(
    const bf16 *a, int row, int rows, const Tile *tiles, int blocks, uint8_t *room, float *c) {
    bf16 *first = (bf16 *)room, *second = first + 512 * blocks;
    const bf16 *b0 = in_bf16(tiles, blocks, first), *b1 = in_bf16(tiles + 1, blocks, second);
    multiply_unpacked(rows, blocks, a + tile_place(row, 0, blocks), b0, b1, c);
}

// One strip of a product for rows [start, start + rows).
static void multiply_many(const Product *product, int strip, int start, int rows, uint8_t *room) {
    const Matrix *matrix = product->matrix;
    const int blocks = matrix->blocks;
    bf16 *first = (bf16 *)room, *second = first + 512 * blocks;
    float *sums = (float *)(second + 512 * blocks);
    const bf16 *b0 = in_bf16(matrix->tiles + 2 * strip, blocks, first);
    const bf16 *b1 = in_bf16(matrix->tiles + 2 * strip + 1, blocks, second);
    // With few inputs the sums of 32 rows are final, and taken while they are near.
    const int step = blocks > NEAR ? rows : 32;
    for (int row = start; row < start + rows; row += step) {
        const int count = start + rows - row < step ? start + rows - row : step;
        multiply_unpacked(count, blocks, product->a + tile_place(row, 0, blocks), b0, b1, sums);
        finish(product, strip, row, count, sums);
    }
}

// Bytes that a thread needs for products of so many blocks.
static size_t product_room(int blocks) { return (size_t)blocks * 2048 + CHUNK * 128 + 4096; }
