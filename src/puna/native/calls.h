// What Python calls, and the memory that passes share.
#pragma once
#include "head.h"
#include "pack.h"

#define EXPORT __attribute__((visibility("default")))

static int most(int a, int b) { return a > b ? a : b; }

// Memory from one allocation, in pieces of whole cache lines.
typedef struct {
    uint8_t *start;
    size_t used;
} Arena;

static void *take(Arena *arena, size_t bytes) {
    void *here = arena->start + arena->used;
    arena->used += up(bytes, 64);
    return here;
}

static struct {
    uint8_t *start;
    size_t size;
} memory;  // kept between calls: fresh pages cost more than the work of a short pass

static int borrow(size_t bytes) {
    if (bytes <= memory.size) return 0;
    free(memory.start);
    memory.start = NULL;
    memory.size = 0;
    if (posix_memalign((void **)&memory.start, 4096, bytes)) return -1;
    memory.size = bytes;
    return 0;
}

// Run all layers and the last norm over pass->x. Returns 0, or -1 where memory is out.
EXPORT int puna_forward(const Model *model, const Pass *pass, int threads) {
    const size_t rows = up(pass->tokens, TOGETHER), query_rows = up((size_t)pass->tokens * (model->heads / model->kv_heads), TOGETHER);
    Work work = {.model = model, .pass = pass, .few = pass->chain && pass->tokens <= FEW};
    const size_t attention = attention_room(pass->slots, pass->tokens, model->size), product = product_room(most(most(model->width, model->ffn), model->heads * model->size) / 32);
    work.room = up(attention > product ? attention : product, 64);
    const int few_rows = work.few && pass->tokens * (model->heads / model->kv_heads) <= TOGETHER;
    work.ranges = few_rows && pass->slots > RANGE ? (pass->slots + RANGE - 1) / RANGE : 0;
    const int parts = work.ranges * model->kv_heads;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    begin();
    int failed = 0;
    for (int twice = 0; twice < 2 && !failed; twice++) {  // first to measure, then to hand out
        Arena arena = {twice ? memory.start : NULL, 0};
        work.normed = take(&arena, sizeof(Number) * rows * model->width);
        work.mixed = take(&arena, sizeof(Number) * rows * model->heads * model->size);
        work.inner = take(&arena, sizeof(Number) * rows * model->ffn);
        const int normed = model->layer->q_norm ? model->heads + model->kv_heads : 0;
        work.heads = take(&arena, sizeof(float) * pass->tokens * normed * model->size);
        work.queries = take(&arena, sizeof(Number) * query_rows * model->kv_heads * model->size);
        work.own_keys = take(&arena, sizeof(Number) * (size_t)pass->tokens * model->kv_heads * model->size);
        work.own_values = take(&arena, sizeof(Number) * (size_t)pass->tokens * model->kv_heads * model->size);
        work.rooms = take(&arena, work.room * threads);
        work.counters = take(&arena, sizeof(atomic_int) * 5 * MOST_THREADS * model->layers);
        work.parts = take(&arena, sizeof(Part) * parts);
        float *values = take(&arena, sizeof(float) * TOGETHER * model->size * parts);
        if (!twice) failed = borrow(arena.used);
        for (int i = 0; twice && i < parts; i++) work.parts[i].values = values + (size_t)i * TOGETHER * model->size;
    }
    if (!failed) {
        memset(work.counters, 0, sizeof(atomic_int) * 5 * MOST_THREADS * model->layers);
        run(forward, &work, threads);
    }
    end();
    return failed;
}

static int with_head(Head *head, int few, int threads) {
    const size_t rows = up(head->rows, TOGETHER), slices = (head->head->strips + SLICE - 1) / SLICE;
    head->room = up(product_room(head->head->blocks) + rows * 256, 64);
    head->few = few;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    begin();
    int failed = 0;
    for (int twice = 0; twice < 2 && !failed; twice++) {
        Arena arena = {twice ? memory.start : NULL, 0};
        head->inputs = take(&arena, sizeof(Number) * rows * head->width);
        head->tops = take(&arena, slices * head->rows * 4);
        head->sums = take(&arena, slices * head->rows * 4);
        head->rooms = take(&arena, head->room * threads);
        head->counters = take(&arena, sizeof(atomic_int));
        if (!twice) failed = borrow(arena.used);
    }
    if (!failed) {
        memset(head->counters, 0, sizeof(atomic_int));
        run(few ? write_few_logits : read_head, head, threads);
    }
    end();
    return failed;
}

// logits[M, V] = hidden[M, D] · head.
EXPORT int puna_logits(const Model *model, const float *hidden, int rows, float *logits, int threads) {
    Head head = {.head = &model->head, .hidden = hidden, .rows = rows, .width = model->width, .vocab = model->vocab,
                 .logits = logits};
    return with_head(&head, rows <= FEW, threads);
}

// mass[M] = log sum e^logits, picked[i] = the logit of token[i] in row[i]; picks are sorted by token, first[s] is the
// first of strip s. No more than a strip of logits exists at a time.
EXPORT int puna_masses(const Model *model, const float *hidden, int rows, float *mass, const int32_t *first,
                       const int32_t *row, const int32_t *token, float *picked, int threads) {
    Head head = {.head = &model->head, .hidden = hidden, .rows = rows, .width = model->width, .vocab = model->vocab,
                 .mass = mass, .first = first, .row = row, .token = token, .picked = picked};
    return with_head(&head, 0, threads);
}

// Bring rows as stored (bf16, ggml's Q4_1, ggml's Q8_0, fp32) into column tiles of 16 outputs.
EXPORT void puna_pack(int form, const uint8_t *rows, size_t row_bytes, const int32_t *order, int tiles, int blocks,
                      uint8_t *out, int threads) {
    Packing job = {form, tiles, blocks, rows, row_bytes, order, out};
    begin();
    run(pack, &job, threads);
    end();
}

EXPORT int puna_block_bytes(int form) { return block_bytes[form]; }

// out[count, 32 * blocks] in fp32: the weights of the given outputs of a matrix in its natural order.
EXPORT void puna_rows(const Matrix *matrix, const int64_t *outputs, int count, float *out) {
    rows_of(matrix, outputs, count, out);
}
