// What training does row by row between the products: norms, the gate, sums, and their gradients, one pass over memory
// each. Widths are multiples of 16; sums run in one order, whichever thread has the row.
#pragma once
#include <malloc.h>

#include "calls.h"

// Let memory that is freed stay with the process: a step frees what the next one needs again, and new pages take longer
// than what is written into them.
EXPORT void puna_train_begin(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

typedef struct {
    int32_t rows, width;
    float eps;
    const float *x, *gain;  // x [T, D]
    const Number *more;     // [T, D], added to x first, or NULL
    float *sum;             // [T, D]: what that gives
    float *scale;           // [T]: 1 / rms
    Number *out;            // [T, D]
} Norm;

static void norm_rows(void *argument, int thread, int threads) {
    const Norm *job = argument;
    const int width = job->width;
    for (int t = job->rows * thread / threads; t < job->rows * (thread + 1) / threads; t++) {
        const size_t place = (size_t)t * width;
        const float *x = job->x + place;
        Vec sum[VECS], value[VECS], more[VECS];
        EACH for (int v = 0; v < VECS; v++) sum[v] = all(0);
        for (int d = 0; d < width; d += 16) {
            load_16(x + d, value);
            if (job->more) {
                load_numbers(job->more + place + d, more);
                EACH for (int v = 0; v < VECS; v++) value[v] += more[v];
                put_16(job->sum + place + d, value);
            }
            EACH for (int v = 0; v < VECS; v++) sum[v] = muladd(value[v], value[v], sum[v]);
        }
        if (job->more) x = job->sum + place;
        job->scale[t] = 1.0f / sqrtf(sum_of_16(sum) / (float)width + job->eps);
        const Vec by = all(job->scale[t]);
        for (int d = 0; d < width; d += 16) {
            EACH for (int v = 0; v < VECS; v++) value[v] = load(x + d + LANES * v) * by * load(job->gain + d + LANES * v);
            put_numbers(job->out + place + d, value);
        }
    }
}

typedef struct {
    int32_t rows, width;
    const float *x, *gain, *scale;
    const Number *grad;  // [T, D], of what the norm gave
    const float *beside; // [T, D], the gradient that passes the norm by
    float *out;          // [T, D], x's gradient, may be `beside`
    Number *low;         // the same as a product's input, or NULL
    Number *normed;      // what the norm gave, once more, or NULL
} NormBack;

// d/dx of x·s·g with s = 1 / rms: s·(g·dy) - x·s³·mean(x·g·dy).
static void norm_rows_back(void *argument, int thread, int threads) {
    const NormBack *job = argument;
    const int width = job->width;
    for (int t = job->rows * thread / threads; t < job->rows * (thread + 1) / threads; t++) {
        const size_t place = (size_t)t * width;
        Vec sum[VECS], grad[VECS], x[VECS], gain[VECS];
        EACH for (int v = 0; v < VECS; v++) sum[v] = all(0);
        for (int d = 0; d < width; d += 16) {
            load_numbers(job->grad + place + d, grad);
            load_16(job->x + place + d, x);
            load_16(job->gain + d, gain);
            EACH for (int v = 0; v < VECS; v++) sum[v] = muladd(grad[v] * gain[v], x[v], sum[v]);
        }
        const float scale = job->scale[t];
        const Vec by = all(scale), less = all(-sum_of_16(sum) * scale * scale * scale / (float)width);
        for (int d = 0; d < width; d += 16) {
            Vec out[VECS];
            load_numbers(job->grad + place + d, grad);
            load_16(job->x + place + d, x);
            load_16(job->gain + d, gain);
            load_16(job->beside + place + d, out);
            EACH for (int v = 0; v < VECS; v++) out[v] += muladd(grad[v] * gain[v], by, x[v] * less);
            put_16(job->out + place + d, out);
            if (job->low) put_numbers(job->low + place + d, out);
            if (job->normed) {
                EACH for (int v = 0; v < VECS; v++) x[v] = x[v] * by * gain[v];
                put_numbers(job->normed + place + d, x);
            }
        }
    }
}

typedef struct {
    int32_t rows, width;
    const Number *both;  // [T, 2F]: gate and up
    Number *out;         // [T, F]
} Gate;

static void gate_rows(void *argument, int thread, int threads) {
    const Gate *job = argument;
    const int width = job->width;
    for (int t = job->rows * thread / threads; t < job->rows * (thread + 1) / threads; t++) {
        const Number *gates = job->both + 2 * (size_t)t * width, *ups = gates + width;
        for (int f = 0; f < width; f += 16) {
            Vec gate[VECS], value[VECS];
            load_numbers(gates + f, gate);
            load_numbers(ups + f, value);
            EACH for (int v = 0; v < VECS; v++) value[v] *= gate[v] * sigmoid(gate[v]);  // as on the way back
            put_numbers(job->out + (size_t)t * width + f, value);
        }
    }
}

typedef struct {
    int32_t rows, width;
    Number *both;  // [T, 2F]: gate and up; their gradients after
    Number *grad;  // [T, F], of silu(gate)·up; that itself after
} GateBack;

// silu'(g) = σ(g)·(1 + g·(1 - σ(g))).
static void gate_rows_back(void *argument, int thread, int threads) {
    const GateBack *job = argument;
    const int width = job->width;
    for (int t = job->rows * thread / threads; t < job->rows * (thread + 1) / threads; t++) {
        Number *gates = job->both + 2 * (size_t)t * width, *ups = gates + width, *grads = job->grad + (size_t)t * width;
        for (int f = 0; f < width; f += 16) {
            Vec gate[VECS], up_[VECS], grad[VECS], gated[VECS];
            load_numbers(gates + f, gate);
            load_numbers(ups + f, up_);
            load_numbers(grads + f, grad);
            EACH for (int v = 0; v < VECS; v++) {
                const Vec share = sigmoid(gate[v]), open = gate[v] * share;
                gated[v] = open * up_[v];
                gate[v] = grad[v] * up_[v] * muladd(open, all(1.0f) - share, share);
                up_[v] = grad[v] * open;
            }
            put_numbers(gates + f, gate);
            put_numbers(ups + f, up_);
            put_numbers(grads + f, gated);
        }
    }
}

typedef struct {
    int32_t rows, width;
    const float *x;
    const Number *more;
    float *out;
} Sum;

static void sum_rows(void *argument, int thread, int threads) {
    const Sum *job = argument;
    const size_t count = (size_t)job->rows * job->width / 16;
    for (size_t i = 16 * (count * thread / threads); i < 16 * (count * (thread + 1) / threads); i += 16) {
        Vec more[VECS];
        load_numbers(job->more + i, more);
        EACH for (int v = 0; v < VECS; v++) put(job->out + i + LANES * v, load(job->x + i + LANES * v) + more[v]);
    }
}

static void run_alone(Job job, void *argument, int threads) {
    begin();
    run(job, argument, threads);
    end();
}

EXPORT void puna_train_norm(Norm *job, int threads) { run_alone(norm_rows, job, threads); }
EXPORT void puna_train_norm_back(NormBack *job, int threads) { run_alone(norm_rows_back, job, threads); }
EXPORT void puna_train_gate(Gate *job, int threads) { run_alone(gate_rows, job, threads); }
EXPORT void puna_train_gate_back(GateBack *job, int threads) { run_alone(gate_rows_back, job, threads); }
EXPORT void puna_train_sum(Sum *job, int threads) { run_alone(sum_rows, job, threads); }
