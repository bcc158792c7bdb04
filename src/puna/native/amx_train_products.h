// Products of training: rows as they stand times packed weights, and sums over rows, the gradients of weights.
//
// Weights are packed as [outputs / 16][inputs / 32][16 pairs of inputs][16 outputs][2]. Sums run over inputs, or over
// rows, in their order, whichever thread has them.
#pragma once
#include "amx_products.h"
#include "amx_train_attention.h"

#define BESIDE 16    // strips whose weights stay in the second cache while a panel meets them
#define PANEL 256   // rows that meet a strip of weights in one task
#define MOST_TOGETHER 8
#define ZIPPED 256  // rows of 32 columns that are brought into pairs at a time, 16 KiB

// out [T, outputs] = x [T, inputs] times packed weights; strides are those of rows.
typedef struct {
    const bf16 *x, *packed;
    bf16 *out;
    int32_t inputs, outputs, stride, out_stride;
} Factor;

typedef struct {
    const Factor *factors;
    int rows, count;
    uint8_t *rooms;
    size_t room;
    atomic_int counter;
} Times;

// Sums [strips][32 rows][32] to where they go.
static void write_rows(const Factor *factor, int row, int rows, int first, int end, const float *sums) {
    for (int r = 0; r < rows; r++)
        for (int strip = first; strip < end; strip++) {
            const float *from = sums + 1024 * (strip - first) + 32 * r;
            const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_load_ps(from + 16), _mm512_load_ps(from));
            _mm512_storeu_si512(factor->out + (size_t)(row + r) * factor->out_stride + 32 * strip, (__m512i)both);
        }
}

// Rows [row, row + rows) of x in blocks of 32, each [inputs / 32][32][32], zeros behind the last: as they stand they are
// too far apart for the caches' prefetching.
static void gather_rows(const Factor *factor, int row, int rows, bf16 *to) {
    const int blocks = factor->inputs / 32;
    for (int r = 0; r < (int)up(rows, 32); r++) {
        const bf16 *from = factor->x + (size_t)(row + r) * factor->stride;
        bf16 *here = to + (size_t)(r / 32) * blocks * 1024 + r % 32 * 32;
        for (int k = 0; k < blocks; k++)
            _mm512_store_si512(here + 1024 * k, r < rows ? _mm512_loadu_si512(from + 32 * k) : _mm512_setzero_si512());
    }
}

static void multiply_panel(const Factor *factor, int row, int rows, uint8_t *room) {
    const int blocks = factor->inputs / 32, parts = (blocks + NEAR - 1) / NEAR, size = (blocks + parts - 1) / parts;
    const int strips = factor->outputs / 32;
    float *sums = (float *)room;
    bf16 *x = (bf16 *)(sums + 1024 * BESIDE);
    gather_rows(factor, row, rows, x);
    for (int first = 0; first < strips; first += BESIDE) {
        const int end = first + BESIDE < strips ? first + BESIDE : strips;
        for (int r = 0; r < rows; r += 32) {
            for (int k = 0; k < blocks; k += size) {
                const int count = k + size < blocks ? size : blocks - k;
                const bf16 *from = x + (size_t)r * factor->inputs + 1024 * k;
                for (int strip = first; strip < end; strip++) {
                    const bf16 *b = factor->packed + ((size_t)strip * 2 * blocks + k) * 512, *d = b + (size_t)blocks * 512;
                    float *to = sums + 1024 * (strip - first);
                    if (k) multiply_tiles(2, count, from, 512, 1024, 64, b, d, 512, to, 32, 0, 1);
                    else multiply_tiles(2, count, from, 512, 1024, 64, b, d, 512, to, 32, 0, 0);
                }
            }
            write_rows(factor, row + r, rows - r < 32 ? rows - r : 32, first, end, sums);
        }
    }
}

static void multiply_factors(void *argument, int thread, int threads) {
    Times *job = argument;
    const int panels = (int)up((job->rows + PANEL - 1) / PANEL, threads), high = (int)up((job->rows + panels - 1) / panels, 32);
    enter();
    for (int task; (task = next(&job->counter)) < panels * job->count;) {
        const int row = task / job->count * high, rows = job->rows - row < high ? job->rows - row : high;
        if (rows > 0) multiply_panel(job->factors + task % job->count, row, rows, job->rooms + job->room * thread);
    }
    leave();
}

// Several products over the same rows. Returns 0, or -1 where memory is out.
EXPORT int puna_train_multiply(const Factor *factors, int count, int rows, int threads) {
    int inputs = 0;
    for (int i = 0; i < count; i++) inputs = most(inputs, factors[i].inputs);
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    Times job = {.factors = factors, .rows = rows, .count = count, .room = up(4096 * BESIDE + PANEL * 2 * (size_t)inputs, 4096)};
    begin();
    const int failed = borrow(job.room * threads);
    job.rooms = memory.start;
    if (!failed) run(multiply_factors, &job, threads);
    end();
    return failed;
}

typedef struct {
    const bf16 *from;
    bf16 *to;
    int32_t outputs, inputs, across;  // across: `from` is [inputs, outputs], not [outputs, inputs]
} Weights;

static void pack_weights(void *argument, int thread, int threads) {
    const Weights *job = argument;
    const int tiles = job->outputs / 16, blocks = job->inputs / 32;
    for (int tile = tiles * thread / threads; tile < tiles * (thread + 1) / threads; tile++)
        for (int block = 0; block < blocks; block++) {
            bf16 *to = job->to + ((size_t)tile * blocks + block) * 512;
            __m512i each[16];
            if (!job->across) {
                for (int i = 0; i < 16; i++)
                    each[i] = _mm512_loadu_si512(job->from + (size_t)(16 * tile + i) * job->inputs + 32 * block);
                transpose(each);
            }
            for (int i = 0; i < 16; i++) {
                if (job->across) {
                    const bf16 *from = job->from + (size_t)(32 * block + 2 * i) * job->outputs + 16 * tile;
                    const __m512i even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
                    const __m512i odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(from + job->outputs)));
                    each[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
                }
                _mm512_storeu_si512(to + 32 * i, each[i]);
            }
        }
}

EXPORT void puna_train_pack(const Weights *job, int threads) { run_alone(pack_weights, (void *)job, threads); }

// out [left, right] = scale times the sum over rows of left's numbers times right's; out is fp32 and contiguous.
typedef struct {
    const bf16 *x, *y;
    float *out;
    int32_t left, right, x_stride, y_stride;
} Sums;

typedef struct {
    const Sums *sums;
    int rows, count, together;  // strips that a task takes together
    float scale;
    bf16 *turned;  // the lefts, [left / 16][blocks of 32 rows][16][32], one after the other
    uint8_t *rooms;
    atomic_int first, second;
} Overs;

// 32 rows of `strips` times 32 numbers from `row` on, [strips][1024] with `apart` between them; rows behind the last are
// zeros. Row by row, because the next strip of a row is near and the next row is not.
static inline void zip_rows(const bf16 *x, size_t stride, int row, int rows, int strips, bf16 *to, size_t apart) {
    for (int pair = 0; pair < 16; pair++) {
        const int even = row + 2 * pair;
        const bf16 *from = x + even * stride;
        for (int strip = 0; strip < strips; strip++, from += 32) {
            const __m512i zero = _mm512_setzero_si512();
            __m512i first, last;
            zip(even < rows ? _mm512_loadu_si512(from) : zero, even + 1 < rows ? _mm512_loadu_si512(from + stride) : zero,
                &first, &last);
            _mm512_store_si512(to + strip * apart + 32 * pair, first);
            _mm512_store_si512(to + strip * apart + 512 + 32 * pair, last);
        }
    }
}

// Tasks are numbered through all sums: the sum that `task` is of, and the strips before it in there.
static inline const Sums *sums_of(const Overs *job, int *task) {
    const Sums *sums = job->sums;
    for (; *task >= (sums->right / 32 + job->together - 1) / job->together; sums++)
        *task -= (sums->right / 32 + job->together - 1) / job->together;
    return sums;
}

static void sum_over_rows(void *argument, int thread, int threads) {
    Overs *job = argument;
    const int blocks = (job->rows + 31) / 32;
    int lefts = 0, tasks = 0;
    for (int i = 0; i < job->count; i++) {
        lefts += job->sums[i].left / 32;
        tasks += (job->sums[i].right / 32 + job->together - 1) / job->together;
    }
    enter();
    for (int task; (task = next(&job->first)) < lefts;) {
        const Sums *sums = job->sums;
        int strip = task;
        for (; strip >= sums->left / 32; sums++) strip -= sums->left / 32;
        bf16 *to = job->turned + (size_t)task * blocks * 1024, both[1024] __attribute__((aligned(64)));
        for (int block = 0; block < blocks; block++) {
            zip_rows(sums->x + 32 * strip, sums->x_stride, 32 * block, job->rows, 1, both, 0);
            for (int half = 0; half < 2; half++) {
                __m512i each[16];
                for (int i = 0; i < 16; i++) each[i] = _mm512_load_si512(both + 512 * half + 32 * i);
                transpose(each);
                for (int i = 0; i < 16; i++)
                    _mm512_store_si512(to + ((size_t)half * blocks + block) * 512 + 32 * i, each[i]);
            }
        }
    }
    meet(threads);
    bf16 *zipped = (bf16 *)(job->rooms + (size_t)thread * ZIPPED * MOST_TOGETHER * 64);
    for (int task; (task = next(&job->second)) < tasks;) {
        int rest = task;
        const Sums *sums = sums_of(job, &rest);
        const bf16 *turned = job->turned;
        for (const Sums *before = job->sums; before < sums; before++) turned += (size_t)before->left * 32 * blocks;
        const int strip = rest * job->together, left_over = sums->right / 32 - strip;
        const int strips = left_over < job->together ? left_over : job->together;
        float *out = sums->out + 32 * strip;
        for (int block = 0; block < blocks; block += ZIPPED / 32) {
            const int count = blocks - block < ZIPPED / 32 ? blocks - block : ZIPPED / 32;
            for (int i = 0; i < count; i++)
                zip_rows(sums->y + 32 * strip, sums->y_stride, 32 * (block + i), job->rows, strips, zipped + 1024 * i, ZIPPED * 32);
            for (int left = 0; left < sums->left; left += 32)
                for (int s = 0; s < strips; s++) {
                    const bf16 *a = turned + (size_t)left * 32 * blocks + 512 * block, *b = zipped + s * ZIPPED * 32;
                    float *c = out + (size_t)left * sums->right + 32 * s;
                    if (block) multiply_tiles(2, count, a, (size_t)blocks * 512, 512, 64, b, b + 512, 1024, c, sums->right, 0, 1);
                    else multiply_tiles(2, count, a, (size_t)blocks * 512, 512, 64, b, b + 512, 1024, c, sums->right, 0, 0);
                }
        }
        const __m512 scale = _mm512_set1_ps(job->scale);
        for (int left = 0; left < sums->left; left++)
            for (int i = 0; i < 32 * strips; i += 16) {
                float *c = out + (size_t)left * sums->right + i;
                _mm512_storeu_ps(c, _mm512_mul_ps(_mm512_loadu_ps(c), scale));
            }
    }
    leave();
}

// Several sums over the same rows. Returns 0, or -1 where memory is out.
EXPORT int puna_train_sums(const Sums *sums, int count, int rows, float scale, int threads) {
    size_t lefts = 0;
    int rights = 0;
    for (int i = 0; i < count; i++) {
        lefts += sums[i].left;
        rights += sums[i].right / 32;
    }
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    Overs job = {.sums = sums, .rows = rows, .count = count, .scale = scale};
    job.together = rights / (2 * threads) < 1 ? 1 : rights / (2 * threads) < MOST_TOGETHER ? rights / (2 * threads) : MOST_TOGETHER;
    const size_t turned = up(lefts * up(rows, 32) * 2, 64);
    begin();
    const int failed = borrow(turned + (size_t)threads * ZIPPED * MOST_TOGETHER * 64);
    job.turned = (bf16 *)memory.start;
    job.rooms = memory.start + turned;
    if (!failed) run(sum_over_rows, &job, threads);
    end();
    return failed;
}
