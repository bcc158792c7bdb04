// Sums over rows of one row's numbers times another's: the gradients of weights, thin ones above all. A sum runs over the
// rows in their order, whichever thread has it.
#pragma once
#include "amx_train_attention.h"

#define ZIPPED 256       // rows that are brought into pairs at a time,
#define MOST_TOGETHER 8  // and strips of 32 numbers of them: 128 KiB

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
