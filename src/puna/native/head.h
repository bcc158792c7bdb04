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
    Number *inputs;
    float *tops, *sums;  // [slices][M]
    int32_t few;
    uint8_t *rooms;
    size_t room;
    atomic_int *counters;
} Head;

static void take_rows(const Head *head, int thread, int threads) {
    for (int r = thread; r < head->rows; r += threads)
        for (int d = 0; d < head->width; d += 16) {
            Vec value[VECS];
            load_16(head->hidden + (size_t)r * head->width + d, value);
            put_inputs(head->inputs, r, d, head->width, head->few, value);
        }
}

static void put_logits(const Head *head, int strip, const float *c) {
    const int some = head->vocab - 32 * strip < 32 ? head->vocab - 32 * strip : 32;
    for (int r = 0; r < head->rows; r++)
        memcpy(head->logits + (size_t)r * head->vocab + 32 * strip, c + 32 * r, (size_t)some * 4);
}

// Keep, for each row and lane, the largest logit so far and the sum of e^(logit - largest).
static void add_mass(const Head *head, int strip, float *c, float *state) {
    for (int r = 0; r < head->rows; r++) {
        float *top = state + (size_t)r * 32, *sum = top + 16;
        for (int none = head->vocab - 32 * strip; none < 32; none++) c[32 * r + none] = -INFINITY;
        for (int i = 0; i < 16; i += LANES) {
            const Vec a = load(c + 32 * r + i), b = load(c + 32 * r + 16 + i), old = load(top + i);
            const Vec most_now = larger(old, larger(a, b));
            Vec total = load(sum + i);
            if (any_above(most_now, old)) {
                total *= exp_of(old - most_now);
                put(top + i, most_now);
            }
            put(sum + i, total + exp_of(a - most_now) + exp_of(b - most_now));
        }
    }
}

static void read_head(void *argument, int thread, int threads) {
    const Head *head = argument;
    const int strips = head->head->strips, slices = (strips + SLICE - 1) / SLICE;
    float *sums = (float *)(head->rooms + head->room * thread), *state = sums + up(head->rows, TOGETHER) * 32;
    uint8_t *room = (uint8_t *)(state + up(head->rows, TOGETHER) * 32);
    take_rows(head, thread, threads);
    meet(threads);
    enter();
    for (int slice; (slice = next(head->counters)) < slices;) {
        if (!head->logits)
            for (int r = 0; r < head->rows; r++)
                for (int i = 0; i < 16; i++) state[32 * r + i] = -1e30f, state[32 * r + 16 + i] = 0;
        const int stop = slice * SLICE + SLICE < strips ? slice * SLICE + SLICE : strips;
        for (int strip = slice * SLICE; strip < stop; strip++) {
            multiply_strip(head->inputs, 0, head->rows, head->head->tiles + 2 * strip, head->head->blocks, room, sums);
            if (head->logits) {
                put_logits(head, strip, sums);
                continue;
            }
            for (int i = head->first[strip]; i < head->first[strip + 1]; i++)
                head->picked[i] = sums[32 * head->row[i] + head->token[i] % 32];
            add_mass(head, strip, sums, state);
        }
        if (head->logits) continue;
        for (int r = 0; r < head->rows; r++) {
            Vec tops[VECS], total[VECS];
            load_16(state + 32 * r, tops);
            load_16(state + 32 * r + 16, total);
            const float top = largest_of_16(tops);
            EACH for (int v = 0; v < VECS; v++) total[v] *= exp_of(tops[v] - all(top));
            head->tops[(size_t)slice * head->rows + r] = top;
            head->sums[(size_t)slice * head->rows + r] = sum_of_16(total);
        }
    }
    leave();
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
    float c[FEW * 32] __attribute__((aligned(64)));
    take_rows(head, thread, threads);
    meet(threads);
    const FewRows rows = few_rows(head->inputs, head->rows, head->head->blocks, head->rooms + head->room * thread);
    for (int task; (task = next(head->counters) * SLICE) < head->head->strips;)
        for (int strip = task; strip < task + SLICE && strip < head->head->strips; strip++) {
            multiply_few(&rows, head->head->tiles + 2 * strip, c);
            put_logits(head, strip, c);
        }
}
