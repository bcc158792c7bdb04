// Attention of training, there and back: each packed tree over itself, a row seeing its ancestors and itself.
//
// A task is a tree and a kv-head with the query heads that share it. Keys and queries are taken 32 by 32. Scores stand
// transposed, keys down and queries across: a softmax is then sums and maxima of whole vectors, and its shares are the
// second operand of the way there, the first of the gradients of values, as they come. Sums run over the blocks in
// their order, so a tree's numbers depend on nothing but the tree.
#pragma once
#include "amx_attention.h"
#include "train_trees.h"

#define NEXT_TO 4  // blocks whose scores are taken at a time, 16 KiB

// A tree and a kv-head at work.
typedef struct {
    const Training *at;
    Seen seen;
    int kv, from, rows, blocks;  // rows from row `from` on
    bf16 *plain;                 // [blocks * 32, E]: the rows that are brought into the layouts below
} Task;

static inline int groups_of(const Training *at) { return at->heads / at->kv_heads; }
static inline size_t stride_of(const Training *at) { return (size_t)(at->heads + 2 * at->kv_heads) * at->size; }

// Rows as they are, zeros behind them.
static void copy_rows(const Task *task, const bf16 *from, size_t stride, bf16 *to) {
    const int size = task->at->size;
    for (int r = 0; r < task->rows; r++) memcpy(to + (size_t)r * size, from + r * stride, 2 * (size_t)size);
    memset(to + (size_t)task->rows * size, 0, 2 * (size_t)size * (32 * task->blocks - task->rows));
}

// [block][2 halves][E / 32][16 pairs of dimensions][16 rows][2]: the second operand where sums run over dimensions.
static void over_dimensions(const bf16 *rows, int blocks, int size, bf16 *to) {
    for (int row = 0; row < 32 * blocks; row += 16)
        for (int e = 0; e < size; e += 32, to += 512) {
            __m512i each[16];
            for (int i = 0; i < 16; i++) each[i] = _mm512_loadu_si512(rows + (size_t)(row + i) * size + e);
            transpose(each);
            for (int i = 0; i < 16; i++) _mm512_store_si512(to + 32 * i, each[i]);
        }
}

// Two rows of 32 numbers side by side: pairs of their first 16, pairs of their last 16.
static inline void zip(__m512i even, __m512i odd, __m512i *first, __m512i *last) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    *first = _mm512_permutex2var_epi16(even, low, odd);
    *last = _mm512_permutex2var_epi16(even, _mm512_add_epi16(low, _mm512_set1_epi16(16)), odd);
}

// [block][E / 16][16 pairs of rows][16 dimensions][2]: the second operand where sums run over rows.
static void over_rows(const bf16 *rows, int blocks, int size, bf16 *to) {
    for (int block = 0; block < blocks; block++, rows += 32 * size, to += 32 * size)
        for (int pair = 0; pair < 16; pair++)
            for (int e = 0; e < size; e += 32) {
                __m512i first, last;
                zip(_mm512_loadu_si512(rows + 2 * pair * size + e), _mm512_loadu_si512(rows + (2 * pair + 1) * size + e),
                    &first, &last);
                _mm512_store_si512(to + e / 16 * 512 + 32 * pair, first);
                _mm512_store_si512(to + e / 16 * 512 + 512 + 32 * pair, last);
            }
}

// [block][E][32 rows]: the first operand where sums run over rows.
static void turned(const bf16 *rows, int blocks, int size, bf16 *to) {
    over_rows(rows, blocks, size, to);
    for (size_t tile = 0; tile < (size_t)blocks * size / 16; tile++, to += 512) {
        __m512i each[16];
        for (int i = 0; i < 16; i++) each[i] = _mm512_load_si512(to + 32 * i);
        transpose(each);
        for (int i = 0; i < 16; i++) _mm512_store_si512(to + 32 * i, each[i]);
    }
}

// Turn a head's rows by their positions, where they stand.
static void turn_rows(const Task *task, bf16 *head) {
    const int half = task->at->size / 2;
    const size_t stride = stride_of(task->at);
    for (int r = 0; r < task->rows; r++, head += stride) {
        const float *cos = task->at->cos + (size_t)(task->from + r) * half;
        const float *sin = task->at->sin + (size_t)(task->from + r) * half;
        for (int e = 0; e < half; e += 16) {
            const __m512 a = load_bf16(head + e), b = load_bf16(head + half + e);
            const __m512 c = _mm512_loadu_ps(cos + e), s = _mm512_loadu_ps(sin + e);
            _mm256_storeu_si256((__m256i *)(head + e), to_bf16(_mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s))));
            _mm256_storeu_si256((__m256i *)(head + half + e), to_bf16(_mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s))));
        }
    }
}

// Turn a row's gradient back, by `scale`, to where it goes.
static inline void turn_back(const Task *task, int row, const float *from, float scale, bf16 *to) {
    const int half = task->at->size / 2;
    const __m512 by = _mm512_set1_ps(scale);
    for (int e = 0; e < half; e += 16) {
        const __m512 a = _mm512_mul_ps(_mm512_loadu_ps(from + e), by), b = _mm512_mul_ps(_mm512_loadu_ps(from + half + e), by);
        const __m512 c = _mm512_loadu_ps(task->at->cos + (size_t)(task->from + row) * half + e);
        const __m512 s = _mm512_loadu_ps(task->at->sin + (size_t)(task->from + row) * half + e);
        _mm256_storeu_si256((__m256i *)(to + e), to_bf16(_mm512_fmadd_ps(a, c, _mm512_mul_ps(b, s))));
        _mm256_storeu_si256((__m256i *)(to + half + e), to_bf16(_mm512_fmsub_ps(b, c, _mm512_mul_ps(a, s))));
    }
}

// sums [E][32 queries], each times its `by`, to rows [32][E].
static inline void upright(const float *sums, int size, const float *by, float *rows) {
    for (int half = 0; half < 32; half += 16)
        for (int e = 0; e < size; e += 16) {
            __m512i each[16];
            for (int i = 0; i < 16; i++)
                each[i] = (__m512i)_mm512_mul_ps(_mm512_loadu_ps(sums + 32 * (e + i) + half), _mm512_loadu_ps(by + half));
            transpose(each);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(rows + (size_t)(half + i) * size + e, each[i]);
        }
}

// Which of 16 queries from `half` on see key `key` of a block.
static inline __mmask16 seen_by(const uint32_t *words, int blocks, int key, int half) {
    return (__mmask16)(words[(size_t)key * blocks] >> half);
}

// How many blocks follow each other from `first` on, NEXT_TO at most, of which something is seen; apart by `step`.
static inline int together(const uint8_t *kinds, size_t step, int first, int blocks) {
    int count = 0;
    while (count < NEXT_TO && first + count < blocks && kinds[(first + count) * step] != UNSEEN) count++;
    return count;
}

static inline __m512i paired(__m512 even, __m512 odd) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                           5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

// Scores [count][32 keys][32 queries] -> shares relative to 2^tops, [count][2 halves][16 pairs of keys][16 queries][2].
// `sums` [E][32 queries] and `totals` become relative to the new tops.
static void soften(const Task *task, int key, int query, int count, float *scores, bf16 *shares, float *tops,
                   float *totals, float *sums) {
    const int blocks = task->blocks, size = task->at->size;
    const __m512 none = _mm512_set1_ps(-INFINITY), scale = _mm512_set1_ps(1.44269504f / sqrtf((float)size));
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    for (int half = 0; half < 32; half += 16) {
        __m512 most = none;
        for (int k = 0; k < count; k++) {
            const uint32_t *words = task->seen.words + (size_t)(key + k) * 32 * blocks + query;
            const int partly = task->seen.kinds[(size_t)(key + k) * blocks + query] == PARTLY;
            float *some = scores + k * 1024 + half;
            for (int s = 0; s < 32; s++) {
                __m512 value = _mm512_load_ps(some + 32 * s);
                if (partly) {
                    value = _mm512_mask_mov_ps(none, seen_by(words, blocks, s, half), value);
                    _mm512_store_ps(some + 32 * s, value);
                }
                most = _mm512_max_ps(most, value);
            }
        }
        const __m512 old = _mm512_load_ps(tops + half), top = _mm512_max_ps(old, _mm512_mul_ps(most, scale));
        const __m512 by = exp2_of(_mm512_sub_ps(old, top));
        __m512 total = _mm512_mul_ps(_mm512_load_ps(totals + half), by);
        if (any_above(top, old))
            for (int e = 0; e < size; e++)
                _mm512_store_ps(sums + 32 * e + half, _mm512_mul_ps(_mm512_load_ps(sums + 32 * e + half), by));
        for (int k = 0; k < count; k++)
            for (int pair = 0; pair < 16; pair++) {
                const float *some = scores + k * 1024 + 64 * pair + half;
                const __m512 even = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(some), scale, top));
                const __m512 odd = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(some + 32), scale, top));
                const __m512i both = paired(even, odd);
                total = _mm512_dpbf16_ps(total, (__m512bh)both, ones);  // of the shares as they are used
                _mm512_store_si512(shares + k * 1024 + half * 32 + 32 * pair, both);
            }
        _mm512_store_ps(tops + half, top);
        _mm512_store_ps(totals + half, total);
    }
}

// 32 rows' scores: keys [32, E] times queries as `over_dimensions` gives them.
static inline void score(const bf16 *keys, const bf16 *queries, int size, float *to) {
    multiply_tiles(2, size / 32, keys, 16 * size, 32, 2 * size, queries, queries + 16 * size, 512, to, 32, 0, 0);
}

static void attend_there(Task *task, uint8_t *room) {
    const Training *at = task->at;
    const int size = at->size, blocks = task->blocks, groups = groups_of(at);
    const size_t stride = stride_of(at), whole = 2 * (size_t)blocks * 32 * size;
    Arena arena = {room, 0};
    task->plain = take(&arena, whole);
    bf16 *keys = take(&arena, whole), *values = take(&arena, whole), *queries = take(&arena, whole);
    float *scores = take(&arena, NEXT_TO * 4096), *sums = take(&arena, 128 * size), *rows = take(&arena, 128 * size);
    bf16 *shares = take(&arena, NEXT_TO * 2048);
    float tops[32] __attribute__((aligned(64))), totals[32] __attribute__((aligned(64)));
    bf16 *first = at->qkv + task->from * stride, *own = first + (at->heads + task->kv) * size;
    turn_rows(task, own);
    copy_rows(task, own, stride, keys);
    copy_rows(task, own + at->kv_heads * size, stride, task->plain);
    turned(task->plain, blocks, size, values);
    for (int g = 0; g < groups; g++) {
        const int head = task->kv * groups + g;
        turn_rows(task, first + head * size);
        copy_rows(task, first + head * size, stride, task->plain);
        over_dimensions(task->plain, blocks, size, queries);
        for (int query = 0; query < blocks; query++) {
            memset(sums, 0, 128 * size);
            for (int i = 0; i < 32; i++) tops[i] = -1e30f, totals[i] = 0;
            for (int key = 0, count; key < blocks; key += count ? count : 1) {
                count = together(task->seen.kinds + query, blocks, key, blocks);
                if (!count) continue;
                for (int k = 0; k < count; k++)
                    score(keys + (size_t)(key + k) * 32 * size, queries + (size_t)query * 32 * size, size, scores + 1024 * k);
                soften(task, key, query, count, scores, shares, tops, totals, sums);
                for (int e = 0; e < size; e += 32)
                    multiply_tiles(2, count, values + (size_t)key * 32 * size + 32 * e, 512, 32 * size, 64, shares,
                                   shares + 512, 1024, sums + 32 * e, 32, 0, 1);
            }
            const int here = 32 * query, count = task->rows - here < 32 ? task->rows - here : 32;
            float by[32];
            for (int i = 0; i < count; i++) at->mass[(size_t)head * at->tokens + task->from + here + i] = tops[i] + log2f(totals[i]);
            for (int i = 0; i < 32; i++) by[i] = i < count ? 1.0f / totals[i] : 0;
            upright(sums, size, by, rows);
            for (int i = 0; i < count; i++) {
                bf16 *to = at->mixed + ((size_t)(task->from + here + i) * at->heads + head) * size;
                for (int e = 0; e < size; e += 16)
                    _mm256_storeu_si256((__m256i *)(to + e), to_bf16(_mm512_loadu_ps(rows + i * size + e)));
            }
        }
    }
}

// Scores of 32 keys and 32 queries, and the gradients of their shares [32][32] -> the shares and the gradients of the
// scores as first operands, rows of NEXT_TO * 32, and those also as a second one.
static void soften_back(const Task *task, int key, int query, const float *scores, const float *grads, const float *mass,
                        const float *inner, bf16 *shares, bf16 *changes, bf16 *across) {
    const int blocks = task->blocks;
    const __m512 scale = _mm512_set1_ps(1.44269504f / sqrtf((float)task->at->size));
    const __m512 mass0 = _mm512_load_ps(mass), mass1 = _mm512_load_ps(mass + 16);
    const __m512 inner0 = _mm512_load_ps(inner), inner1 = _mm512_load_ps(inner + 16);
    const uint32_t *words = task->seen.words + (size_t)key * 32 * blocks + query;
    const int partly = task->seen.kinds[(size_t)key * blocks + query] == PARTLY;
    __m512 change[4];
    for (int s = 0; s < 32; s++) {
        const float *score = scores + 32 * s, *grad = grads + 32 * s;
        __m512 a = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(score), scale, mass0));
        __m512 b = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(score + 16), scale, mass1));
        if (partly) {
            a = _mm512_maskz_mov_ps(seen_by(words, blocks, s, 0), a);
            b = _mm512_maskz_mov_ps(seen_by(words, blocks, s, 16), b);
        }
        __m512 *to = change + s % 2 * 2;
        to[0] = _mm512_mul_ps(a, _mm512_sub_ps(_mm512_load_ps(grad), inner0));
        to[1] = _mm512_mul_ps(b, _mm512_sub_ps(_mm512_load_ps(grad + 16), inner1));
        _mm512_store_si512(shares + s * NEXT_TO * 32, (__m512i)_mm512_cvtne2ps_pbh(b, a));
        _mm512_store_si512(changes + s * NEXT_TO * 32, (__m512i)_mm512_cvtne2ps_pbh(to[1], to[0]));
        if (s % 2) {
            _mm512_store_si512(across + s / 2 * 32, paired(change[0], change[2]));
            _mm512_store_si512(across + 512 + s / 2 * 32, paired(change[1], change[3]));
        }
    }
}

// The gradient of `mixed` -> those of queries, keys and values before they were turned, where these stand.
static void attend_back(Task *task, uint8_t *room) {
    const Training *at = task->at;
    const int size = at->size, blocks = task->blocks, groups = groups_of(at);
    const size_t stride = stride_of(at), whole = 2 * (size_t)blocks * 32 * size, block = 32 * (size_t)size;
    const float scale = 1.0f / sqrtf((float)size);
    Arena arena = {room, 0};
    task->plain = take(&arena, whole);
    bf16 *keys = take(&arena, whole), *turned_keys = take(&arena, whole), *values = take(&arena, whole);
    bf16 *queries = take(&arena, whole), *query_pairs = take(&arena, whole);
    bf16 *grads = take(&arena, whole), *grad_pairs = take(&arena, whole);
    float *for_keys = take(&arena, 2 * whole), *for_values = take(&arena, 2 * whole), *for_queries = take(&arena, 2 * whole);
    float *mass = take(&arena, 128 * blocks), *inner = take(&arena, 128 * blocks), *rows = take(&arena, 128 * size);
    float *scores = take(&arena, 4096), *changed = take(&arena, 4096);
    bf16 *shares = take(&arena, NEXT_TO * 2048), *changes = take(&arena, NEXT_TO * 2048), *across = take(&arena, NEXT_TO * 2048);
    float by[32];
    for (int i = 0; i < 32; i++) by[i] = scale;
    bf16 *first = at->qkv + task->from * stride, *own = first + (at->heads + task->kv) * size;
    copy_rows(task, own, stride, keys);
    turned(keys, blocks, size, turned_keys);
    copy_rows(task, own + at->kv_heads * size, stride, values);
    memset(for_keys, 0, 2 * whole);
    memset(for_values, 0, 2 * whole);
    for (int g = 0; g < groups; g++) {
        const int head = task->kv * groups + g;
        const size_t place = ((size_t)task->from * at->heads + head) * size, next = (size_t)at->heads * size;
        copy_rows(task, first + head * size, stride, task->plain);
        over_dimensions(task->plain, blocks, size, queries);
        over_rows(task->plain, blocks, size, query_pairs);
        copy_rows(task, at->grad + place, next, task->plain);
        over_dimensions(task->plain, blocks, size, grads);
        over_rows(task->plain, blocks, size, grad_pairs);
        for (int r = 0; r < 32 * blocks; r++) {
            mass[r] = r < task->rows ? at->mass[(size_t)head * at->tokens + task->from + r] : INFINITY;
            inner[r] = r < task->rows ? dot(task->plain + (size_t)r * size, at->mixed + place + r * next, size) : 0;
        }
        memset(for_queries, 0, 2 * whole);
        for (int key = 0; key < blocks; key++)
            for (int query = 0, count; query < blocks; query += count ? count : 1) {
                count = together(task->seen.kinds + (size_t)key * blocks, 1, query, blocks);
                if (!count) continue;
                for (int k = 0; k < count; k++) {
                    score(keys + key * block, queries + (query + k) * block, size, scores);
                    score(values + key * block, grads + (query + k) * block, size, changed);
                    soften_back(task, key, query + k, scores, changed, mass + 32 * (query + k), inner + 32 * (query + k),
                                shares + 32 * k, changes + 32 * k, across + 1024 * k);
                    for (int e = 0; e < size; e += 32)
                        multiply_tiles(2, 1, turned_keys + key * block + 32 * e, 512, 0, 64, across + 1024 * k,
                                       across + 1024 * k + 512, 0, for_queries + (query + k) * block + 32 * e, 32, 0, 1);
                }
                for (int e = 0; e < size; e += 32) {
                    const size_t pairs = query * block + 32 * e;
                    multiply_tiles(2, count, shares, NEXT_TO * 512, 32, NEXT_TO * 64, grad_pairs + pairs,
                                   grad_pairs + pairs + 512, block, for_values + key * block + e, size, 0, 1);
                    multiply_tiles(2, count, changes, NEXT_TO * 512, 32, NEXT_TO * 64, query_pairs + pairs,
                                   query_pairs + pairs + 512, block, for_keys + key * block + e, size, 0, 1);
                }
            }
        for (int query = 0; query < blocks; query++) {
            upright(for_queries + query * block, size, by, rows);
            for (int r = 32 * query; r < task->rows && r < 32 * query + 32; r++)
                turn_back(task, r, rows + (size_t)(r % 32) * size, 1, first + r * stride + head * size);
        }
    }
    for (int r = 0; r < task->rows; r++) {
        bf16 *to = own + r * stride;
        turn_back(task, r, for_keys + (size_t)r * size, scale, to);
        for (int e = 0; e < size; e += 16)
            _mm256_storeu_si256((__m256i *)(to + at->kv_heads * size + e), to_bf16(_mm512_loadu_ps(for_values + (size_t)r * size + e)));
    }
}

static void attend_trees(void *argument, int thread, int threads) {
    Trees *trees = argument;
    const Training *at = trees->at;
    (void)threads;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);  // a share too small for a normal number is 0: others cost a hundred times as much
    enter();
    for (int task; (task = next(&trees->counter)) < at->trees * at->kv_heads;) {
        const int tree = at->order[task / at->kv_heads], from = at->start[tree], rows = at->start[tree + 1] - from;
        Task job = {at, seen_of(at, tree), task % at->kv_heads, from, rows, (rows + 31) / 32, NULL};
        (at->grad ? attend_back : attend_there)(&job, trees->rooms + trees->room * thread);
    }
    leave();
    _mm_setcsr(before);
}

// `mixed` and `mass` from `qkv`, of which queries and keys are turned; or, with `grad`, the gradient of `qkv` in its place.
// Returns 0, or -1 where memory is out.
EXPORT int puna_train_attention(const Training *at, int threads) {
    size_t rows = 0;
    for (int tree = 0; tree < at->trees; tree++) {
        const size_t count = up(at->start[tree + 1] - at->start[tree], 32);
        rows = count > rows ? count : rows;
    }
    Trees trees = {.at = at};
    trees.room = rows * ((at->grad ? 28 : 8) * at->size + 8) + 384 * at->size + NEXT_TO * 16384 + 4096;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    begin();
    const int failed = borrow(up(trees.room, 4096) * threads);
    trees.room = up(trees.room, 4096);
    trees.rooms = memory.start;
    if (!failed) run(attend_trees, &trees, threads);
    end();
    return failed;
}
