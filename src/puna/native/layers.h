// All layers of a pass, one phase after another: every thread takes tasks of a phase and meets the others at its end.
// What stands in the headers before: `enter` and `leave`, `put_numbers` and `put_inputs`, `multiply_many`, `FewRows`,
// `keep_keys` and `keep_values`, `gather`.
#pragma once
#include "model.h"

// Row by row x / rms(x) * gain, as inputs of a product or, with `to` NULL, in place. A thread takes the rows that it is
// the first to multiply, too: what one core wrote is slow to reach from another.
static void normalise(const Work *work, const float *gain, Number *to, int thread, int threads) {
    const int width = work->model->width, tokens = work->pass->tokens;
    for (int t = tokens * thread / threads; t < tokens * (thread + 1) / threads; t++) {
        float *row = work->pass->x + (size_t)t * width;
        Vec sum[VECS], value[VECS];
        EACH for (int v = 0; v < VECS; v++) sum[v] = all(0);
        for (int d = 0; d < width; d += 16)
            EACH for (int v = 0; v < VECS; v++) {
                const Vec x = load(row + d + LANES * v);
                sum[v] = muladd(x, x, sum[v]);
            }
        const Vec by = all(1.0f / sqrtf(sum_of_16(sum) / (float)width + work->model->eps));
        for (int d = 0; d < width; d += 16) {
            EACH for (int v = 0; v < VECS; v++) value[v] = load(row + d + LANES * v) * by * load(gain + d + LANES * v);
            if (to) put_inputs(to, t, d, width, work->few, value);
            else put_16(row + d, value);
        }
    }
}

// Keep a strip of queries, keys or values; of the first two 16 dimensions and the 16 that turn with them.
static void keep(const Work *work, int layer, int head, int part, int row, int rows, const float *c) {
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int size = model->size, groups = model->heads / model->kv_heads;
    if (head < model->heads) {
        const size_t rows_of_kv = up((size_t)pass->tokens * groups, TOGETHER);
        Number *queries = work->queries + ((head / groups) * rows_of_kv + head % groups) * size;
        for (int r = 0; r < rows; r++) {
            Vec first[VECS], second[VECS];
            Number *to = queries + (size_t)(row + r) * groups * size;
            rotate(work, row + r, part, c + 32 * r, first, second);
            put_numbers(to + 16 * part, first);
            put_numbers(to + size / 2 + 16 * part, second);
        }
    } else if (head < model->heads + model->kv_heads) {
        keep_keys(work, layer, head - model->heads, part, row, rows, c);
    } else {
        keep_values(work, layer, head - model->heads - model->kv_heads, part, row, rows, c);
    }
}

static void finish(const Product *product, int strip, int row, int rows, float *c) {
    const Work *work = product->work;
    const Model *model = work->model;
    const Pass *pass = work->pass;
    if (product->matrix->bias)
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < 32; i += LANES)
                put(c + 32 * r + i, load(c + 32 * r + i) + load(product->matrix->bias + 32 * strip + i));
    if (product->kind == ADD) {
        for (int r = 0; r < rows; r++) {
            float *x = pass->x + (size_t)(row + r) * model->width + 32 * strip;
            for (int i = 0; i < 32; i += LANES) put(x + i, load(x + i) + load(c + 32 * r + i));
        }
        return;
    }
    if (product->kind == GATE_UP) {
        for (int r = 0; r < rows; r++) {
            Vec value[VECS];
            EACH for (int v = 0; v < VECS; v++)
                value[v] = silu(load(c + 32 * r + LANES * v)) * load(c + 32 * r + 16 + LANES * v);
            put_inputs(work->inner, row + r, 16 * strip, model->ffn, work->few, value);
        }
        return;
    }
    const int deep = model->size / 32, head = strip / deep, part = strip % deep;
    const int normed = model->layer[product->layer].q_norm ? model->heads + model->kv_heads : 0;
    if (head >= normed) {
        keep(work, product->layer, head, part, row, rows, c);
        return;
    }
    for (int r = 0; r < rows; r++)
        memcpy(work->heads + ((size_t)(row + r) * normed + head) * model->size + 32 * part, c + 32 * r, 128);
}

// Queries and keys x / rms(x) * gain, head by head: what `finish` left until whole heads were there.
static void norm_heads(const Work *work, int l, int thread, int threads) {
    const Model *model = work->model;
    const Layer *layer = model->layer + l;
    const int size = model->size, heads = model->heads + model->kv_heads, tokens = work->pass->tokens;
    const int chunks = (tokens + 15) / 16;
    float c[16 * 32] __attribute__((aligned(64))), by[16];
    for (int task = heads * chunks * thread / threads; task < heads * chunks * (thread + 1) / threads; task++) {
        const int head = task % heads, row = task / heads * 16, rows = tokens - row < 16 ? tokens - row : 16;
        const float *from = work->heads + ((size_t)row * heads + head) * size;
        const float *gain = head < model->heads ? layer->q_norm : layer->k_norm;
        for (int r = 0; r < rows; r++) {
            Vec sum = all(0);
            for (int e = 0; e < size; e += LANES) {
                const Vec x = load(from + (size_t)r * heads * size + e);
                sum = muladd(x, x, sum);
            }
            by[r] = 1.0f / sqrtf(sum_of(sum) / (float)size + model->eps);
        }
        for (int part = 0; part < size / 32; part++) {
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < 32; i += LANES)
                    put(c + 32 * r + i, load(from + (size_t)r * heads * size + 32 * part + i) * all(by[r])
                                            * load(gain + 32 * part + i));
            keep(work, l, head, part, row, rows, c);
        }
    }
}

// x · W for all tokens: tasks are strips, and for many rows also chunks of them.
static void multiply(const Product *product, uint8_t *room, atomic_int *counters, int thread, int threads) {
    const Matrix *matrix = product->matrix;
    const int tokens = product->work->pass->tokens, few = product->work->few;
    const int parts = (tokens + CHUNK - 1) / CHUNK, chunk = (int)up((tokens + parts - 1) / parts, TOGETHER);
    const int chunks = few ? 1 : (tokens + chunk - 1) / chunk;
    Way way = {counters, thread, threads, matrix->strips * chunks, 0};
    if (few) {
        float c[FEW * 32] __attribute__((aligned(64)));
        const FewRows rows = few_rows(product->a, tokens, matrix->blocks, room);
        for (int strip; (strip = step(&way)) >= 0;) {
            multiply_few(&rows, matrix->tiles + 2 * strip, c);
            finish(product, strip, 0, tokens, c);
        }
        return;
    }
    for (int task; (task = step(&way)) >= 0;) {
        const int start = task / matrix->strips * chunk;
        multiply_many(product, task % matrix->strips, start, start + chunk < tokens ? chunk : tokens - start, room);
    }
}

// Put a row (t, g)'s E numbers where they go in into the product after.
static inline void put_row(const Attention *at, int row, const float *values, float total) {
    const Vec by = all(1.0f / total);
    for (int e = 0; e < at->size; e += 16) {
        Vec value[VECS];
        EACH for (int v = 0; v < VECS; v++) value[v] = load(values + e + LANES * v) * by;
        put_inputs(at->out, row / at->groups, at->column + row % at->groups * at->size + e, at->inputs, at->few, value);
    }
}

static inline int first_block(const Attention *at, int row) {
    const int token = row / at->groups;
    return at->low[token] < at->high[token] ? at->low[token] / 32 : -1;
}

// Rows [row, row + TOGETHER) of (t, g), all that they see. Those that begin in different blocks (packed prompts') go
// apart: a row's slots are cut as they are counted from its own beginning.
static void attend(const Attention *at, int row, uint8_t *room) {
    Part part = {.values = (float *)room};
    room += (size_t)TOGETHER * at->size * 4;
    for (int end = row + rows_from(at, row), next; row < end; row = next) {
        const int from = first_block(at, row);
        int to = 0;
        for (next = row; next < end && first_block(at, next) == from; next++) {
            const int high = at->high[next / at->groups];
            to = high > to ? high : to;
        }
        gather(at, row, next - row, from < 0 ? 0 : from * 32, from < 0 ? 0 : (to + 31) / 32 * 32, room, &part);
        for (int r = 0; r < next - row; r++) put_row(at, row + r, part.values + (size_t)r * at->size, part.totals[r]);
    }
}

// What rows took from several ranges, put together in the ranges' order; parts[0] is used up.
static void merge(const Attention *at, Part *parts, int count) {
    for (int row = 0; row < rows_from(at, 0); row++) {
        float top = -INFINITY, total = 0;
        for (int i = 0; i < count; i++) top = parts[i].tops[row] > top ? parts[i].tops[row] : top;
        float *sum = parts[0].values + (size_t)row * at->size;
        for (int i = 0; i < count; i++) {
            const float by = exp2f(parts[i].tops[row] - top), *values = parts[i].values + (size_t)row * at->size;
            total += by * parts[i].totals[row];
            for (int e = 0; e < at->size; e += LANES)
                put(sum + e, muladd(all(by), load(values + e), i ? load(sum + e) : all(0)));
        }
        put_row(at, row, sum, total);
    }
}

static Attention attention_of(const Work *work, int layer, int kv) {
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int groups = model->heads / model->kv_heads;
    const size_t place = ((size_t)layer * model->kv_heads + kv) * pass->capacity * model->size;
    const size_t rows = (size_t)kv * model->size;
    return (Attention){pass->keys + place, pass->values + place, work->own_keys + rows * pass->tokens,
                       work->own_values + rows * pass->tokens,
                       work->queries + rows * up((size_t)pass->tokens * groups, TOGETHER), pass->low, pass->high,
                       pass->mask, pass->first, pass->list, pass->tokens, groups, model->size, pass->slots,
                       work->few, model->heads * model->size, kv * groups * model->size, work->mixed};
}

// One layer's attention. Few rows over many slots are cut into ranges, so that all threads share them.
static void attend_all(const Work *work, int layer, uint8_t *room, atomic_int *counter, int thread, int threads) {
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int kv_heads = model->kv_heads, ranges = work->ranges;
    const int blocks = (int)(up((size_t)pass->tokens * (model->heads / kv_heads), TOGETHER) / TOGETHER);
    for (int task; (task = next(counter)) < kv_heads * (ranges ? ranges : blocks);) {
        const int kv = task % kv_heads, place = task / kv_heads;
        const Attention at = attention_of(work, layer, kv);
        if (ranges) {
            const int to = (place + 1) * RANGE < pass->slots ? (place + 1) * RANGE : (int)up(pass->slots, 32);
            gather(&at, 0, rows_from(&at, 0), place * RANGE, to, room, work->parts + kv * ranges + place);
            continue;
        }
        // The last rows see most: they come first, so that no thread is left with a long one at the end.
        attend(&at, (blocks - 1 - place) * TOGETHER, room);
    }
    if (!ranges) return;
    meet(threads);
    for (int kv = thread; kv < kv_heads; kv += threads) {
        const Attention at = attention_of(work, layer, kv);
        merge(&at, work->parts + kv * ranges, ranges);
    }
}

static void forward(void *argument, int thread, int threads) {
    const Work *work = argument;
    const Model *model = work->model;
    uint8_t *room = work->rooms + work->room * thread;
    atomic_int *counters = work->counters;
    enter();
    for (int l = 0; l < model->layers; l++) {
        const Layer *layer = model->layer + l;
        normalise(work, layer->attention_norm, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, QKV, l, &layer->qkv, work->normed}, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        if (layer->q_norm) {
            norm_heads(work, l, thread, threads);
            meet(threads);
        }
        attend_all(work, l, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->out, work->mixed}, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        normalise(work, layer->ffn_norm, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, GATE_UP, l, &layer->gate_up, work->normed}, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->down, work->inner}, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
    }
    normalise(work, model->norm, NULL, thread, threads);
    leave();
}
