// The head: logits, or what log-probabilities need of them, without a whole row of them anywhere.
#pragma once
#include "layers.h"

#define SLICE 32  // strips of the head that one task takes

typedef struct {
    const Matrix *head;
    const float *hidden;  // [M, D]
    int32_t rows, width, vocab;
    float *logits;  // [M, V], or NULL for what follows
    float *mass;  // [M], log of the sum of e^logit
    const int32_t *first, *row;  // picks of strip s: first[s] .. first[s + 1]
    const int32_t *token;
    float *picked;
    bf16 *tiles;
    float *tops, *sums;  // [slices][M]
    uint8_t *rooms;
    size_t room;
    atomic_int *counters;
} Head;

static void round_rows(const Head *head, int thread, int threads) {
    const int blocks = head->width / 32;
    for (int r = thread; r < head->rows; r += threads)
        for (int d = 0; d < head->width; d += 16) {
            bf16 *to = head->tiles + tile_place(r, d / 32, blocks) + d % 32;
            _mm256_store_si256((__m256i *)to, to_bf16(_mm512_loadu_ps(head->hidden + (size_t)r * head->width + d)));
        }
}

static void put_logits(const Head *head, int strip, int row, int rows, const float *c) {
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 32; half += 16)
            _mm512_mask_storeu_ps(head->logits + (size_t)(row + r) * head->vocab + 32 * strip + half,
                                  first_lanes(head->vocab - 32 * strip - half), _mm512_load_ps(c + 32 * r + half));
}

// Keep, for each row and lane, the largest logit so far and the sum of e^(logit - largest).
static void add_mass(const Head *head, int strip, const float *c, float *state) {
    const __m512 none = _mm512_set1_ps(-INFINITY);
    const __mmask16 low = first_lanes(head->vocab - 32 * strip), high = first_lanes(head->vocab - 32 * strip - 16);
    for (int r = 0; r < head->rows; r++) {
        float *top = state + (size_t)r * 32, *sum = top + 16;
        __m512 a = _mm512_mask_load_ps(none, low, c + 32 * r), b = _mm512_mask_load_ps(none, high, c + 32 * r + 16);
        __m512 old = _mm512_load_ps(top), most_now = _mm512_max_ps(old, _mm512_max_ps(a, b)), total = _mm512_load_ps(sum);
        if (_mm512_cmp_ps_mask(most_now, old, _CMP_GT_OQ)) {
            total = _mm512_mul_ps(total, exp_ps(_mm512_sub_ps(old, most_now)));
            _mm512_store_ps(top, most_now);
        }
        total = _mm512_add_ps(total, exp_ps(_mm512_sub_ps(a, most_now)));
        _mm512_store_ps(sum, _mm512_add_ps(total, exp_ps(_mm512_sub_ps(b, most_now))));
    }
}

static void read_head(void *argument, int thread, int threads) {
    const Head *head = argument;
    const int blocks = head->head->blocks, strips = head->head->strips, slices = (strips + SLICE - 1) / SLICE;
    bf16 *first = (bf16 *)(head->rooms + head->room * thread), *second = first + 512 * blocks;
    float *state = (float *)(second + 512 * blocks), *sums = state + up(head->rows, 32) * 32;
    round_rows(head, thread, threads);
    meet(threads);
    tiles_on();
    for (int slice; (slice = next(head->counters)) < slices;) {
        if (!head->logits)
            for (int r = 0; r < head->rows; r++)
                for (int i = 0; i < 16; i++) state[32 * r + i] = -1e30f, state[32 * r + 16 + i] = 0;
        const int stop = slice * SLICE + SLICE < strips ? slice * SLICE + SLICE : strips;
        for (int strip = slice * SLICE; strip < stop; strip++) {
            const bf16 *b0 = in_bf16(head->head->tiles + 2 * strip, blocks, first);
            const bf16 *b1 = in_bf16(head->head->tiles + 2 * strip + 1, blocks, second);
            multiply_strip(head->rows, blocks, head->tiles, b0, b1, sums);
            if (head->logits) {
                put_logits(head, strip, 0, head->rows, sums);
                continue;
            }
            add_mass(head, strip, sums, state);
            for (int i = head->first[strip]; i < head->first[strip + 1]; i++)
                head->picked[i] = sums[32 * head->row[i] + head->token[i] % 32];
        }
        if (head->logits) continue;
        for (int r = 0; r < head->rows; r++) {
            __m512 tops = _mm512_load_ps(state + 32 * r);
            float top = _mm512_reduce_max_ps(tops);
            __m512 sums = _mm512_mul_ps(_mm512_load_ps(state + 32 * r + 16), exp_ps(_mm512_sub_ps(tops, _mm512_set1_ps(top))));
            head->tops[(size_t)slice * head->rows + r] = top;
            head->sums[(size_t)slice * head->rows + r] = _mm512_reduce_add_ps(sums);
        }
    }
    tiles_off();
    if (head->logits) return;
    meet(threads);
    for (int r = thread; r < head->rows; r += threads) {  // slices in their order, whoever computed them
        double top = -1e30, sum = 0;
        for (int slice = 0; slice < slices; slice++) {
            const double here = head->tops[(size_t)slice * head->rows + r];
            if (here > top) {
                sum *= exp(top - here);
                top = here;
            }
            sum += head->sums[(size_t)slice * head->rows + r] * exp(here - top);
        }
        head->mass[r] = (float)(top + log(sum));
    }
}

static void write_few_logits(void *argument, int thread, int threads) {
    const Head *head = argument;
    const int blocks = head->head->blocks;
    float c[32] __attribute__((aligned(64)));
    round_rows(head, thread, threads);
    meet(threads);
    for (int row = 0; row < head->rows; row++) {
        const Row x = as_integers(head->tiles, row, blocks, head->rooms + head->room * thread);
        for (int task; (task = next(head->counters + row) * SLICE) < head->head->strips;)
            for (int strip = task; strip < task + SLICE && strip < head->head->strips; strip++) {
                _mm512_store_ps(c, row_times(&x, head->head->tiles + 2 * strip, blocks));
                _mm512_store_ps(c + 16, row_times(&x, head->head->tiles + 2 * strip + 1, blocks));
                put_logits(head, strip, row, 1, c);
            }
    }
}
