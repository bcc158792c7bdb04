// All layers of a pass, one phase after another: every thread takes tasks of a phase and meets the others at its end.
#pragma once
#include "attention.h"
#include "pool.h"
#include "rows.h"

#define FEW 3      // a chain of up to so many rows is multiplied row by row, with the weights as stored
#define CHUNK 256  // rows that meet a strip of unpacked weights in one task
#define RANGE 256  // slots

typedef struct {
    Matrix qkv, out, gate_up, down;
    const float *attention_norm, *ffn_norm;
} Layer;

typedef struct {
    int32_t width, heads, kv_heads, size, ffn, layers, vocab;
    float eps;
    const Layer *layer;
    const float *norm;
    Matrix head;
} Model;

typedef struct {
    int32_t tokens, slots, capacity, chain;  // a chain: each token sees all slots before its own, low and high say it
    float *x;  // [T, D], in and out
    const float *cos, *sin;  // [T, E/2]
    bf16 *keys, *values;  // [L, K, capacity, E] in the tiles of attention.h
    const int32_t *slot;  // of each token
    const int32_t *low, *high;  // as in attention.h, from here on
    const uint8_t *mask;
    const int32_t *first, *list;
} Pass;

typedef struct {
    const Model *model;
    const Pass *pass;
    bf16 *normed, *mixed, *inner;  // A-tiles [T/16][blocks][16][32]: inputs of qkv and gate_up, of out, of down
    bf16 *queries, *own_keys, *own_values;  // [K][rows][E], [K][T][E]
    uint8_t *rooms;
    size_t room;
    atomic_int *counters;
    int few, ranges;  // ranges of slots that few rows' attention is cut into, or 0
    Part *parts;      // [kv_heads][ranges]
} Work;

static inline size_t up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static inline int next(atomic_int *counter) { return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }

// Row by row x / rms(x) * gain, as bf16 tiles or, with `tiles` NULL, in place. A thread takes the rows that it is the
// first to multiply, too: what one core wrote is slow to reach from another.
static void normalise(float *x, int tokens, int width, const float *gain, float eps, bf16 *tiles, int thread, int threads) {
    const int blocks = width / 32;
    for (int t = tokens * thread / threads; t < tokens * (thread + 1) / threads; t++) {
        float *row = x + (size_t)t * width;
        __m512 sum = _mm512_setzero_ps();
        for (int d = 0; d < width; d += 16) {
            __m512 value = _mm512_loadu_ps(row + d);
            sum = _mm512_fmadd_ps(value, value, sum);
        }
        const __m512 by = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(sum) / (float)width + eps));
        bf16 *to = tiles ? tiles + tile_place(t, 0, blocks) : NULL;
        for (int d = 0; d < width; d += 16) {
            __m512 value = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(row + d), by), _mm512_loadu_ps(gain + d));
            if (tiles) _mm256_store_si256((__m256i *)(to + d / 32 * 512 + d % 32), to_bf16(value));
            else _mm512_storeu_ps(row + d, value);
        }
    }
}

// Rotate 16 dimensions of the first half of a head with the 16 of the second that turn with them, into a row of E.
static inline __m512i turn(const Work *work, int token, int part, const float *c, bf16 *to) {
    const int half = work->model->size / 2;
    const __m512 a = _mm512_load_ps(c), b = _mm512_load_ps(c + 16);
    const __m512 cosine = _mm512_loadu_ps(work->pass->cos + (size_t)token * half + 16 * part);
    const __m512 sine = _mm512_loadu_ps(work->pass->sin + (size_t)token * half + 16 * part);
    __m256i first = to_bf16(_mm512_fmsub_ps(a, cosine, _mm512_mul_ps(b, sine)));
    __m256i second = to_bf16(_mm512_fmadd_ps(b, cosine, _mm512_mul_ps(a, sine)));
    _mm256_storeu_si256((__m256i *)(to + 16 * part), first);
    _mm256_storeu_si256((__m256i *)(to + half + 16 * part), second);
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

// Whether `count` tokens lie in slots one after the other, from a multiple of `count` on.
static inline int in_line(const int32_t *slot, int count) {
    for (int i = 1; i < count; i++)
        if (slot[i] != slot[0] + i) return 0;
    return slot[0] % count == 0;
}

static void keep_keys(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size, first = 16 * part, second = size / 2 + 16 * part;
    bf16 *own = work->own_keys + ((size_t)kv * pass->tokens + row) * size;
    bf16 *keys = pass->keys + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size;
    for (int r = 0; r < rows;) {
        __m512i pairs[16];
        if (rows - r >= 16 && in_line(pass->slot + row + r, 16)) {
            for (int i = 0; i < 16; i++)
                pairs[i] = turn(work, row + r + i, part, c + 32 * (r + i), own + (size_t)(r + i) * size);
            put_keys(keys, size, pass->slot[row + r], first, second, pairs);
            r += 16;
            continue;
        }
        uint32_t each[16];
        _mm512_storeu_si512(each, turn(work, row + r, part, c + 32 * r, own + (size_t)r * size));
        for (int i = 0; i < 8; i++) {
            put_key(keys, size, pass->slot[row + r], first + 2 * i, each[i]);
            put_key(keys, size, pass->slot[row + r], second + 2 * i, each[8 + i]);
        }
        r++;
    }
}

static void keep_values(const Work *work, int layer, int kv, int part, int row, int rows, const float *c) {
    const Pass *pass = work->pass;
    const int size = work->model->size, e = 32 * part;
    bf16 *own = work->own_values + ((size_t)kv * pass->tokens + row) * size + e;
    bf16 *values = pass->values + ((size_t)layer * work->model->kv_heads + kv) * pass->capacity * size;
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 32; half += 16)
            _mm256_storeu_si256((__m256i *)(own + (size_t)r * size + half), to_bf16(_mm512_load_ps(c + 32 * r + half)));
    for (int r = 0; r < rows;) {
        const bf16 *here = own + (size_t)r * size;
        const int slot = pass->slot[row + r];
        if (rows - r >= 2 && in_line(pass->slot + row + r, 2)) {
            for (int half = 0; half < 32; half += 16)
                put_values(values, size, slot, e + half, _mm256_loadu_si256((const __m256i *)(here + half)),
                           _mm256_loadu_si256((const __m256i *)(here + size + half)));
            r += 2;
            continue;
        }
        for (int i = 0; i < 32; i++) put_value(values, size, slot, e + i, here[i]);
        r++;
    }
}

enum { QKV, ADD, GATE_UP };

typedef struct {
    const Work *work;
    int kind, layer;
    const Matrix *matrix;
    const bf16 *a;
} Product;

// Take the 32 outputs of one strip for rows [row, row + rows); c is [rows][32].
static void finish(const Product *product, int strip, int row, int rows, float *c) {
    const Work *work = product->work;
    const Model *model = work->model;
    const Pass *pass = work->pass;
    if (product->matrix->bias) {
        const __m512 low = _mm512_loadu_ps(product->matrix->bias + 32 * strip);
        const __m512 high = _mm512_loadu_ps(product->matrix->bias + 32 * strip + 16);
        for (int r = 0; r < rows; r++) {
            _mm512_store_ps(c + 32 * r, _mm512_add_ps(_mm512_load_ps(c + 32 * r), low));
            _mm512_store_ps(c + 32 * r + 16, _mm512_add_ps(_mm512_load_ps(c + 32 * r + 16), high));
        }
    }
    if (product->kind == ADD) {
        for (int r = 0; r < rows; r++) {
            float *x = pass->x + (size_t)(row + r) * model->width + 32 * strip;
            _mm512_storeu_ps(x, _mm512_add_ps(_mm512_loadu_ps(x), _mm512_load_ps(c + 32 * r)));
            _mm512_storeu_ps(x + 16, _mm512_add_ps(_mm512_loadu_ps(x + 16), _mm512_load_ps(c + 32 * r + 16)));
        }
        return;
    }
    if (product->kind == GATE_UP) {
        for (int r = 0; r < rows; r++) {
            __m512 value = _mm512_mul_ps(silu(_mm512_load_ps(c + 32 * r)), _mm512_load_ps(c + 32 * r + 16));
            bf16 *to = work->inner + tile_place(row + r, strip / 2, model->ffn / 32);
            _mm256_store_si256((__m256i *)(to + strip % 2 * 16), to_bf16(value));
        }
        return;
    }
    const int size = model->size, deep = size / 32, groups = model->heads / model->kv_heads;
    const int head = strip / deep, part = strip % deep;
    if (head < model->heads) {
        const size_t rows_of_kv = up((size_t)pass->tokens * groups, 32);
        bf16 *queries = work->queries + ((head / groups) * rows_of_kv + head % groups) * size;
        for (int r = 0; r < rows; r++) turn(work, row + r, part, c + 32 * r, queries + (size_t)(row + r) * groups * size);
    } else if (head < model->heads + model->kv_heads) {
        keep_keys(work, product->layer, head - model->heads, part, row, rows, c);
    } else {
        keep_values(work, product->layer, head - model->heads - model->kv_heads, part, row, rows, c);
    }
}

// A thread's way through tasks: first those of its own range, one after the other so that memory streams, then what
// other ranges have left.
typedef struct {
    atomic_int *counters;  // one a range
    int thread, threads, tasks, turn;
} Way;

// Give the next task, or -1.
static inline int step(Way *way) {
    for (; way->turn < way->threads; way->turn++) {
        const int range = (way->thread + way->turn) % way->threads;
        const int task = way->tasks * range / way->threads + next(way->counters + range);
        if (task < way->tasks * (range + 1) / way->threads) return task;
    }
    return -1;
}

// x · W for all tokens: tasks are strips, and for many rows also chunks of them.
static void multiply(
    const Product *product, int tokens, int few, uint8_t *room, atomic_int *counters, int thread, int threads) {
    const Matrix *matrix = product->matrix;
    const int blocks = matrix->blocks;
    if (few) {
        float c[FEW * 32] __attribute__((aligned(64)));
        Row rows[FEW];
        for (int r = 0; r < tokens; r++) rows[r] = as_integers(product->a, r, blocks, room + up(row_bytes(blocks), 64) * r);
        Way way = {counters, thread, threads, matrix->strips, 0};
        for (int strip; (strip = step(&way)) >= 0;) {
            for (int r = 0; r < tokens; r++) {
                _mm512_store_ps(c + 32 * r, row_times(rows + r, matrix->tiles + 2 * strip, blocks));
                _mm512_store_ps(c + 32 * r + 16, row_times(rows + r, matrix->tiles + 2 * strip + 1, blocks));
            }
            finish(product, strip, 0, tokens, c);
        }
        return;
    }
    const int parts = (tokens + CHUNK - 1) / CHUNK, chunk = (int)up((tokens + parts - 1) / parts, 32);
    const int chunks = (tokens + chunk - 1) / chunk;
    bf16 *first = (bf16 *)room, *second = first + 512 * blocks;
    float *sums = (float *)(second + 512 * blocks);
    Way way = {counters, thread, threads, matrix->strips * chunks, 0};
    for (int task; (task = step(&way)) >= 0;) {
        const int strip = task % matrix->strips, start = task / matrix->strips * chunk;
        const int rows = start + chunk < tokens ? chunk : tokens - start;
        const bf16 *b0 = in_bf16(matrix->tiles + 2 * strip, blocks, first);
        const bf16 *b1 = in_bf16(matrix->tiles + 2 * strip + 1, blocks, second);
        // With few inputs the sums of 32 rows are final, and taken while they are near.
        const int step = blocks > NEAR ? rows : 32;
        for (int row = start; row < start + rows; row += step) {
            const int count = start + rows - row < step ? start + rows - row : step;
            multiply_strip(count, blocks, product->a + (size_t)(row / 16) * blocks * 512, b0, b1, sums);
            finish(product, strip, row, count, sums);
        }
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
                       work->queries + rows * up((size_t)pass->tokens * groups, 32), pass->low, pass->high, pass->mask,
                       pass->first, pass->list, pass->tokens, groups, model->size, pass->slots};
}

// Where a kv-head's G heads, side by side, begin in the rows of `mixed`.
static bf16 *mixed_of(const Work *work, int kv) {
    return work->mixed + (size_t)kv * (work->model->heads / work->model->kv_heads) * work->model->size / 32 * 512;
}

// One layer's attention. Few rows over many slots are cut into ranges, so that all threads share them.
static void attend_all(const Work *work, int layer, uint8_t *room, atomic_int *counter, int thread, int threads) {
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int tokens = pass->tokens, groups = model->heads / model->kv_heads, size = model->size, kv_heads = model->kv_heads;
    const size_t query_rows = up((size_t)tokens * groups, 32);
    const int blocks = (int)(query_rows / 32), ranges = work->ranges;
    for (int task; (task = next(counter)) < kv_heads * (ranges ? ranges : blocks);) {
        const int kv = task % kv_heads, place = task / kv_heads;
        const Attention at = attention_of(work, layer, kv);
        if (ranges) {
            const int to = (place + 1) * RANGE < pass->slots ? (place + 1) * RANGE : (int)up(pass->slots, 32);
            gather(&at, 0, tokens * groups, place * RANGE, to, room, work->parts + kv * ranges + place);
            continue;
        }
        // The last rows see most: they come first, so that no thread is left with a long one at the end.
        attend(&at, (blocks - 1 - place) * 32, mixed_of(work, kv), kv_heads * groups * size / 32, room);
    }
    if (!ranges) return;
    meet(threads);
    for (int kv = thread; kv < kv_heads; kv += threads) {
        const Attention at = attention_of(work, layer, kv);
        merge(&at, work->parts + kv * ranges, ranges, mixed_of(work, kv), kv_heads * groups * size / 32);
    }
}

static void forward(void *argument, int thread, int threads) {
    const Work *work = argument;
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int tokens = pass->tokens;
    uint8_t *room = work->rooms + work->room * thread;
    atomic_int *counters = work->counters;
    tiles_on();
    for (int l = 0; l < model->layers; l++) {
        const Layer *layer = model->layer + l;
        normalise(pass->x, tokens, model->width, layer->attention_norm, model->eps, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, QKV, l, &layer->qkv, work->normed}, tokens, work->few, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        attend_all(work, l, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->out, work->mixed}, tokens, work->few, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        normalise(pass->x, tokens, model->width, layer->ffn_norm, model->eps, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, GATE_UP, l, &layer->gate_up, work->normed}, tokens, work->few, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->down, work->inner}, tokens, work->few, room, counters, thread, threads);
        counters += MOST_THREADS;
        meet(threads);
    }
    normalise(pass->x, tokens, model->width, model->norm, model->eps, NULL, thread, threads);
    tiles_off();
}
