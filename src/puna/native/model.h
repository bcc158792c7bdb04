// A model, a pass over it, and what its threads share. `Number` is what goes into a product: bf16 for AMX, else fp32.
#pragma once
#include "matrix.h"
#include "pool.h"

#define FEW 3      // a chain of up to so many rows is multiplied row by row, with the weights as stored
#define RANGE 256  // slots

typedef struct {
    Matrix qkv, out, gate_up, down;
    const float *attention_norm, *ffn_norm;
    const float *q_norm, *k_norm;  // of each head's dimensions in the order of its strips, or NULL
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
    Number *keys, *values;  // [L, K, capacity, E], inside a block of slots as the attention's header says
    const int32_t *slot;  // of each token
    const int32_t *low, *high;  // as in Attention, from here on
    const uint8_t *mask;
    const int32_t *first, *list;
} Pass;

typedef struct {
    Number *keys, *values;  // of one layer and kv-head
    const Number *own_keys, *own_values;  // the new tokens', row by row [T, E]
    const Number *queries;  // [T * G rows, E], readable to a multiple of TOGETHER rows
    const int32_t *low, *high;  // slots [low, high) that token t may see
    const uint8_t *mask;  // [T, slots] or NULL
    const int32_t *first, *list;  // token t also sees the new tokens list[first[t] .. first[t + 1]), or NULL
    int32_t tokens, groups, size, slots;
    int32_t few, inputs, column;  // of `out`'s products, and where this kv-head's G heads begin among them
    Number *out;
} Attention;

// What up to TOGETHER rows took from a range of slots: sums of values, weighted relative to 2^top, and of the weights.
typedef struct {
    float *values;  // [TOGETHER, E]
    float tops[TOGETHER], totals[TOGETHER];
} Part;

typedef struct {
    const Model *model;
    const Pass *pass;
    Number *normed, *mixed, *inner;  // inputs of qkv and gate_up, of out, of down
    float *heads;  // [T][H + K][E] in the order of strips: queries and keys, where heads are to be normed
    Number *queries, *own_keys, *own_values;  // [K][rows][E], [K][T][E]
    uint8_t *rooms;
    size_t room;
    atomic_int *counters;
    int few, ranges;  // ranges of slots that few rows' attention is cut into, or 0
    Part *parts;      // [kv_heads][ranges]
} Work;

enum { QKV, ADD, GATE_UP };

typedef struct {
    const Work *work;
    int kind, layer;
    const Matrix *matrix;
    const Number *a;
} Product;

// Take the 32 outputs of one strip for rows [row, row + rows); c is [rows][32].
static void finish(const Product *product, int strip, int row, int rows, float *c);

static inline int next(atomic_int *counter) { return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }

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

// Whether `count` tokens lie in slots one after the other, from a multiple of `count` on.
static inline int in_line(const int32_t *slot, int count) {
    for (int i = 1; i < count; i++)
        if (slot[i] != slot[0] + i) return 0;
    return slot[0] % count == 0;
}

static inline int rows_from(const Attention *at, int row) {
    const int rows = at->tokens * at->groups - row;
    return rows > TOGETHER ? TOGETHER : rows;
}

// What takes scores to exponents of 2.
static inline float scale_of(const Attention *at) { return 1.44269504f / sqrtf((float)at->size); }

// Rotate 16 dimensions of the first half of a head with the 16 of the second that turn with them.
static inline void rotate(const Work *work, int token, int part, const float *c, Vec first[VECS], Vec second[VECS]) {
    const size_t place = (size_t)token * (work->model->size / 2) + 16 * part;
    EACH for (int v = 0; v < VECS; v++) {
        const Vec a = load(c + LANES * v), b = load(c + 16 + LANES * v);
        const Vec cosine = load(work->pass->cos + place + LANES * v), sine = load(work->pass->sin + place + LANES * v);
        first[v] = muladd(a, cosine, -(b * sine));
        second[v] = muladd(b, cosine, a * sine);
    }
}
