// A Llama's layers and head over packed weights, for CPUs with AMX. See README.md beside this file.
#include "attention.h"
#include "matrix.h"
#include "pool.h"

#define EXPORT __attribute__((visibility("default")))
#define FEW 3       // a chain of up to so many rows is multiplied row by row, with the weights as stored
#define CHUNK 256   // rows that meet a strip of unpacked weights in one task
#define SLICE 32    // strips of the head that one task takes

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
    int few;
} Work;

static inline size_t up(size_t value, size_t to) { return (value + to - 1) / to * to; }

static inline int next(atomic_int *counter) { return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }

// Row by row x / rms(x) * gain, as bf16 tiles or, with `tiles` NULL, in place.
static void normalise(float *x, int tokens, int width, const float *gain, float eps, bf16 *tiles, int thread, int threads) {
    const int blocks = width / 32;
    for (int t = thread; t < tokens; t += threads) {
        float *row = x + (size_t)t * width;
        __m512 sum = _mm512_setzero_ps();
        for (int d = 0; d < width; d += 16) {
            __m512 value = _mm512_loadu_ps(row + d);
            sum = _mm512_fmadd_ps(value, value, sum);
        }
        const __m512 by = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(sum) / (float)width + eps));
        bf16 *to = tiles ? tiles + (size_t)(t / 16) * blocks * 512 + t % 16 * 32 : NULL;
        for (int d = 0; d < width; d += 16) {
            __m512 value = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(row + d), by), _mm512_loadu_ps(gain + d));
            if (tiles) _mm256_store_si256((__m256i *)(to + d / 32 * 512 + d % 32), to_bf16(value));
            else _mm512_storeu_ps(row + d, value);
        }
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
            bf16 *to = work->inner + ((size_t)((row + r) / 16) * (model->ffn / 32) + strip / 2) * 512;
            _mm256_store_si256((__m256i *)(to + (row + r) % 16 * 32 + strip % 2 * 16), to_bf16(value));
        }
        return;
    }
    const int size = model->size, deep = size / 32, groups = model->heads / model->kv_heads;
    const int head = strip / deep, part = strip % deep;
    for (int r = 0; r < rows; r++) {
        const int t = row + r, slot = pass->slot[t];
        __m512 a = _mm512_load_ps(c + 32 * r), b = _mm512_load_ps(c + 32 * r + 16);
        if (head >= model->heads + model->kv_heads) {
            const int kv = head - model->heads - model->kv_heads, e = 32 * part;
            bf16 *own = work->own_values + ((size_t)kv * pass->tokens + t) * size + e;
            _mm256_storeu_si256((__m256i *)own, to_bf16(a));
            _mm256_storeu_si256((__m256i *)(own + 16), to_bf16(b));
            bf16 *values = pass->values + ((size_t)product->layer * model->kv_heads + kv) * pass->capacity * size;
            for (int i = 0; i < 32; i++) put_value(values, size, slot, e + i, own[i]);
            continue;
        }
        // Dimension i of the first half turns with dimension i of the second.
        const __m512 cosine = _mm512_loadu_ps(pass->cos + (size_t)t * (size / 2) + 16 * part);
        const __m512 sine = _mm512_loadu_ps(pass->sin + (size_t)t * (size / 2) + 16 * part);
        __m256i first = to_bf16(_mm512_fmsub_ps(a, cosine, _mm512_mul_ps(b, sine)));
        __m256i second = to_bf16(_mm512_fmadd_ps(b, cosine, _mm512_mul_ps(a, sine)));
        bf16 *to;
        if (head < model->heads) {
            const size_t rows_of_kv = up((size_t)pass->tokens * groups, 32);
            to = work->queries + ((head / groups) * rows_of_kv + (size_t)t * groups + head % groups) * size;
        } else {
            to = work->own_keys + ((size_t)(head - model->heads) * pass->tokens + t) * size;
        }
        _mm256_storeu_si256((__m256i *)(to + 16 * part), first);
        _mm256_storeu_si256((__m256i *)(to + size / 2 + 16 * part), second);
        if (head >= model->heads) {
            bf16 *keys = pass->keys
                + ((size_t)product->layer * model->kv_heads + head - model->heads) * pass->capacity * size;
            uint32_t pairs[16];
            _mm256_storeu_si256((__m256i *)pairs, first);
            _mm256_storeu_si256((__m256i *)(pairs + 8), second);
            for (int i = 0; i < 8; i++) {
                put_key(keys, size, slot, 16 * part + 2 * i, pairs[i]);
                put_key(keys, size, slot, size / 2 + 16 * part + 2 * i, pairs[8 + i]);
            }
        }
    }
}

// Sums of a row's blocks of inputs, for Q4's least values.
static void sum_blocks(const bf16 *row, int blocks, float *sums) {
    for (int block = 0; block < blocks; block++)
        sums[block] = _mm512_reduce_add_ps(_mm512_add_ps(load_bf16(row + 32 * block), load_bf16(row + 32 * block + 16)));
}

// A row of A-tiles as one run of numbers.
static void straighten(const bf16 *tiles, int row, int blocks, bf16 *out) {
    for (int block = 0; block < blocks; block++)
        memcpy(out + 32 * block, tiles + ((size_t)(row / 16) * blocks + block) * 512 + row % 16 * 32, 64);
}

// x · W for all tokens: tasks are strips, and for many rows also chunks of them.
static void multiply(const Product *product, int tokens, int few, uint8_t *room, atomic_int *counter) {
    const Matrix *matrix = product->matrix;
    const int blocks = matrix->blocks;
    float c[32 * 32] __attribute__((aligned(64)));
    if (few) {
        bf16 *rows = (bf16 *)room;
        float *sums = (float *)(rows + FEW * 32 * blocks);
        for (int r = 0; r < tokens; r++) {
            straighten(product->a, r, blocks, rows + 32 * blocks * r);
            sum_blocks(rows + 32 * blocks * r, blocks, sums + blocks * r);
        }
        const int share = 4;  // strips a task: few enough to spread, enough to stream
        for (int task; (task = next(counter) * share) < matrix->strips;) {
            for (int strip = task; strip < task + share && strip < matrix->strips; strip++) {
                for (int r = 0; r < tokens; r++) {
                    const bf16 *x = rows + 32 * blocks * r;
                    _mm512_store_ps(c + 32 * r, row_times(x, sums + blocks * r, matrix->tiles + 2 * strip, blocks));
                    _mm512_store_ps(
                        c + 32 * r + 16, row_times(x, sums + blocks * r, matrix->tiles + 2 * strip + 1, blocks));
                }
                finish(product, strip, 0, tokens, c);
            }
        }
        return;
    }
    const int chunks = (tokens + CHUNK - 1) / CHUNK;
    bf16 *first = (bf16 *)room, *second = first + 512 * blocks;
    for (int task; (task = next(counter)) < matrix->strips * chunks;) {
        const int strip = task % matrix->strips, start = task / matrix->strips * CHUNK;
        const int stop = start + CHUNK < tokens ? start + CHUNK : tokens;
        const bf16 *b0 = in_bf16(matrix->tiles + 2 * strip, blocks, first);
        const bf16 *b1 = in_bf16(matrix->tiles + 2 * strip + 1, blocks, second);
        for (int row = start; row < stop; row += 32) {
            const int rows = stop - row < 32 ? stop - row : 32;
            multiply_tiles(rows > 16 ? 2 : 1, blocks, product->a + (size_t)(row / 16) * blocks * 512,
                           (size_t)blocks * 512, 512, 64, b0, b1, 512, c, 32);
            finish(product, strip, row, rows, c);
        }
    }
}

static void forward(void *argument, int thread, int threads) {
    const Work *work = argument;
    const Model *model = work->model;
    const Pass *pass = work->pass;
    const int tokens = pass->tokens, groups = model->heads / model->kv_heads, size = model->size;
    const size_t query_rows = up((size_t)tokens * groups, 32);
    uint8_t *room = work->rooms + work->room * thread;
    atomic_int *counter = work->counters;
    tiles_on();
    for (int l = 0; l < model->layers; l++) {
        const Layer *layer = model->layer + l;
        normalise(pass->x, tokens, model->width, layer->attention_norm, model->eps, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, QKV, l, &layer->qkv, work->normed}, tokens, work->few, room, counter++);
        meet(threads);
        const int tasks = (int)(query_rows / 32) * model->kv_heads;
        for (int task; (task = next(counter)) < tasks;) {
            const int kv = task % model->kv_heads;
            // The last rows see most: they come first, so that no thread is left with a long one at the end.
            const int row = ((int)(query_rows / 32) - 1 - task / model->kv_heads) * 32;
            const size_t place = ((size_t)l * model->kv_heads + kv) * pass->capacity * size;
            const Attention at = {
                pass->keys + place, pass->values + place, work->own_keys + (size_t)kv * tokens * size,
                work->own_values + (size_t)kv * tokens * size, work->queries + kv * query_rows * size, pass->low,
                pass->high, pass->mask, pass->first, pass->list, tokens, groups, size, pass->slots};
            // kv-head's G heads lie side by side in the rows of `mixed`
            attend(&at, row, work->mixed + (size_t)kv * groups * size / 32 * 512, model->heads * size / 32, room);
        }
        counter++;
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->out, work->mixed}, tokens, work->few, room, counter++);
        meet(threads);
        normalise(pass->x, tokens, model->width, layer->ffn_norm, model->eps, work->normed, thread, threads);
        meet(threads);
        multiply(&(Product){work, GATE_UP, l, &layer->gate_up, work->normed}, tokens, work->few, room, counter++);
        meet(threads);
        multiply(&(Product){work, ADD, l, &layer->down, work->inner}, tokens, work->few, room, counter++);
        meet(threads);
    }
    normalise(pass->x, tokens, model->width, model->norm, model->eps, NULL, thread, threads);
    tiles_off();
}

static int most(int a, int b) { return a > b ? a : b; }

static size_t product_room(const Model *model) {
    return (size_t)most(most(model->width, model->ffn), model->heads * model->size) / 32 * 2048 + 4096;
}

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
    const size_t rows = up(pass->tokens, 32), query_rows = up((size_t)pass->tokens * (model->heads / model->kv_heads), 32);
    Work work = {.model = model, .pass = pass, .few = pass->chain && pass->tokens <= FEW};
    const size_t attention = attention_room(pass->slots, pass->tokens, model->size), product = product_room(model);
    work.room = up(attention > product ? attention : product, 64);
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    begin();
    int failed = 0;
    for (int twice = 0; twice < 2 && !failed; twice++) {  // first to measure, then to hand out
        Arena arena = {twice ? memory.start : NULL, 0};
        work.normed = take(&arena, rows * model->width * 2);
        work.mixed = take(&arena, rows * model->heads * model->size * 2);
        work.inner = take(&arena, rows * model->ffn * 2);
        work.queries = take(&arena, query_rows * model->kv_heads * model->size * 2);
        work.own_keys = take(&arena, (size_t)pass->tokens * model->kv_heads * model->size * 2);
        work.own_values = take(&arena, (size_t)pass->tokens * model->kv_heads * model->size * 2);
        work.rooms = take(&arena, work.room * threads);
        work.counters = take(&arena, sizeof(atomic_int) * 5 * model->layers);
        if (!twice) failed = borrow(arena.used);
    }
    if (!failed) {
        memset(work.counters, 0, sizeof(atomic_int) * 5 * model->layers);
        run(forward, &work, threads);
    }
    end();
    return failed;
}

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
            bf16 *to = head->tiles + ((size_t)(r / 16) * blocks + d / 32) * 512 + r % 16 * 32 + d % 32;
            _mm256_store_si256((__m256i *)to, to_bf16(_mm512_loadu_ps(head->hidden + (size_t)r * head->width + d)));
        }
}

static __mmask16 existing(int column, int vocab) {
    return vocab - column >= 16 ? 0xffff : vocab <= column ? 0 : (__mmask16)((1u << (vocab - column)) - 1);
}

static void put_logits(const Head *head, int strip, int row, int rows, const float *c) {
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 32; half += 16)
            _mm512_mask_storeu_ps(head->logits + (size_t)(row + r) * head->vocab + 32 * strip + half,
                                  existing(32 * strip + half, head->vocab), _mm512_load_ps(c + 32 * r + half));
}

// Keep, for each row and lane, the largest logit so far and the sum of e^(logit - largest).
static void add_mass(const Head *head, int strip, int row, int rows, const float *c, float *state) {
    const __m512 none = _mm512_set1_ps(-INFINITY);
    const __mmask16 low = existing(32 * strip, head->vocab), high = existing(32 * strip + 16, head->vocab);
    for (int r = 0; r < rows; r++) {
        float *top = state + (size_t)(row + r) * 32, *sum = top + 16;
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
    float c[32 * 32] __attribute__((aligned(64)));
    bf16 *first = (bf16 *)(head->rooms + head->room * thread), *second = first + 512 * blocks;
    float *state = (float *)(second + 512 * blocks);
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
            for (int row = 0; row < head->rows; row += 32) {
                const int rows = head->rows - row < 32 ? head->rows - row : 32;
                multiply_tiles(rows > 16 ? 2 : 1, blocks, head->tiles + (size_t)(row / 16) * blocks * 512,
                               (size_t)blocks * 512, 512, 64, b0, b1, 512, c, 32);
                if (head->logits) {
                    put_logits(head, strip, row, rows, c);
                    continue;
                }
                add_mass(head, strip, row, rows, c, state);
                for (int i = head->first[strip]; i < head->first[strip + 1]; i++)
                    if (head->row[i] >= row && head->row[i] < row + rows)
                        head->picked[i] = c[32 * (head->row[i] - row) + head->token[i] % 32];
            }
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
    bf16 *x = (bf16 *)(head->rooms + head->room * thread);
    float *sums = (float *)(x + 32 * blocks);
    (void)threads;
    for (int row = 0; row < head->rows; row++) {
        for (int d = 0; d < head->width; d += 16)
            _mm256_store_si256((__m256i *)(x + d), to_bf16(_mm512_loadu_ps(head->hidden + (size_t)row * head->width + d)));
        sum_blocks(x, blocks, sums);
        for (int task; (task = next(head->counters + row) * SLICE) < head->head->strips;)
            for (int strip = task; strip < task + SLICE && strip < head->head->strips; strip++) {
                _mm512_store_ps(c, row_times(x, sums, head->head->tiles + 2 * strip, blocks));
                _mm512_store_ps(c + 16, row_times(x, sums, head->head->tiles + 2 * strip + 1, blocks));
                put_logits(head, strip, row, 1, c);
            }
    }
}

static int with_head(Head *head, int few, int threads) {
    const size_t rows = up(head->rows, 32), slices = (head->head->strips + SLICE - 1) / SLICE;
    head->room = up((size_t)head->head->blocks * 2048 + rows * 128 + 4096, 64);
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    begin();
    int failed = 0;
    for (int twice = 0; twice < 2 && !failed; twice++) {
        Arena arena = {twice ? memory.start : NULL, 0};
        head->tiles = take(&arena, rows * head->width * 2);
        head->tops = take(&arena, slices * head->rows * 4);
        head->sums = take(&arena, slices * head->rows * 4);
        head->rooms = take(&arena, head->room * threads);
        head->counters = take(&arena, sizeof(atomic_int) * (FEW + 1));
        if (!twice) failed = borrow(arena.used);
    }
    if (!failed) {
        memset(head->counters, 0, sizeof(atomic_int) * (FEW + 1));
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
                if (job->form == BF16) {
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

// Bring rows as stored (bf16, ggml's Q4_1, ggml's Q8_0) into column tiles of 16 outputs.
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
    for (int i = 0; i < count; i++) {
        const Tile *tile = matrix->tiles + outputs[i] / 16;
        const int n = (int)(outputs[i] % 16);
        for (int block = 0; block < matrix->blocks; block++) {
            const uint8_t *data = tile->data + (size_t)block_bytes[tile->form] * block;
            float scale = 1, least = 0;
            if (tile->form != BF16) {
                uint16_t half;
                memcpy(&half, data + (tile->form == Q4 ? 256 : 512) + 2 * n, 2);
                scale = _cvtsh_ss(half);
                if (tile->form == Q4) {
                    memcpy(&half, data + 288 + 2 * n, 2);
                    least = _cvtsh_ss(half);
                }
            }
            for (int k = 0; k < 32; k++) {
                float value;
                if (tile->form == BF16) value = from_bf16(((const bf16 *)data)[32 * (k / 2) + 2 * n + k % 2]);
                else if (tile->form == Q8) value = scale * (float)(int8_t)data[32 * (k / 2) + 2 * n + k % 2];
                else value = scale * (float)(data[16 * (k / 2) + 2 * (n % 8) + k % 2] >> (n < 8 ? 0 : 4) & 15) + least;
                *out++ = value;
            }
        }
    }
}
