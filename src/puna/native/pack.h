// From the file's rows to column tiles, and single rows back.
#pragma once
#include "matrix.h"

typedef struct {
    int32_t form, tiles, blocks;
    const uint8_t *rows;
    size_t row_bytes;
    const int32_t *order;  // the source row of each output, -1 for none
    uint8_t *out;
} Packing;

static void pack(void *argument, int thread, int threads) {
    const Packing *job = argument;
    const size_t bytes = (size_t)block_bytes[job->form] * job->blocks;
    for (int tile = thread; tile < job->tiles; tile += threads) {
        uint8_t *out = job->out + tile * bytes;
        memset(out, 0, bytes);
        for (int n = 0; n < 16; n++) {
            const int source = job->order[16 * tile + n];
            if (source < 0) continue;
            const uint8_t *from = job->rows + job->row_bytes * source;
            for (int block = 0; block < job->blocks; block++) {
                uint8_t *to = out + (size_t)block_bytes[job->form] * block;
                if (job->form == F32) {
                    for (int k = 0; k < 32; k++) memcpy(to + 64 * k + 4 * n, from + 128 * block + 4 * k, 4);
                } else if (job->form == BF16) {
                    for (int pair = 0; pair < 16; pair++) memcpy(to + 64 * pair + 4 * n, from + 64 * block + 4 * pair, 4);
                } else if (job->form == Q8) {  // ggml: fp16 scale, 32 numbers
                    const uint8_t *in = from + 34 * block;
                    for (int pair = 0; pair < 16; pair++) memcpy(to + 32 * pair + 2 * n, in + 2 + 2 * pair, 2);
                    memcpy(to + 512 + 2 * n, in, 2);
                } else {  // ggml: fp16 scale, fp16 least, 16 bytes with numbers i and i + 16
                    const uint8_t *in = from + 20 * block;
                    for (int k = 0; k < 32; k++) {
                        const int q = k < 16 ? in[4 + k] & 15 : in[4 + k - 16] >> 4;
                        to[16 * (k / 2) + 2 * (n % 8) + k % 2] |= (uint8_t)(n < 8 ? q : q << 4);
                    }
                    memcpy(to + 256 + 2 * n, in, 2);
                    memcpy(to + 288 + 2 * n, in + 2, 2);
                }
            }
        }
    }
}

// out[count, 32 * blocks] in fp32: the weights of the given outputs of a matrix in its natural order.
static void rows_of(const Matrix *matrix, const int64_t *outputs, int count, float *out) {
    for (int i = 0; i < count; i++) {
        const Tile *tile = matrix->tiles + outputs[i] / 16;
        const int n = (int)(outputs[i] % 16);
        for (int block = 0; block < matrix->blocks; block++) {
            const uint8_t *data = tile->data + (size_t)block_bytes[tile->form] * block;
            float scale = 1, least = 0;
            if (tile->form == Q4 || tile->form == Q8) {
                uint16_t half;
                memcpy(&half, data + (tile->form == Q4 ? 256 : 512) + 2 * n, 2);
                scale = from_half(half);
                if (tile->form == Q4) {
                    memcpy(&half, data + 288 + 2 * n, 2);
                    least = from_half(half);
                }
            }
            for (int k = 0; k < 32; k++) {
                float value;
                if (tile->form == F32) value = ((const float *)data)[16 * k + n];
                else if (tile->form == BF16) value = from_bf16(((const bf16 *)data)[32 * (k / 2) + 2 * n + k % 2]);
                else if (tile->form == Q8) value = scale * (float)(int8_t)data[32 * (k / 2) + 2 * n + k % 2];
                else value = scale * (float)(data[16 * (k / 2) + 2 * (n % 8) + k % 2] >> (n < 8 ? 0 : 4) & 15) + least;
                *out++ = value;
            }
        }
    }
}
