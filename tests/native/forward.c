// A random model through all kernels in fp32; prints every number that comes out, for comparison between CPUs.
#include <stdio.h>

#include "fp32.c"

enum { WIDTH = 64, HEADS = 6, KV_HEADS = 2, SIZE = 32, FFN = 96, LAYERS = 2, VOCAB = 1100, TEXT = 70, TREE = 40, FEWS = 3 };
enum { SLOTS = 640, THREADS = 2 };  // more than a range

static uint32_t state = 1;
static float draw(void) {  // from -1 to 1
    state = state * 1664525 + 1013904223;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

static float *numbers(int count, float mean, float spread) {
    float *out = malloc(sizeof(float) * count);
    for (int i = 0; i < count; i++) out[i] = mean + spread * draw();
    return out;
}

// Rows of a form, of random bytes with small scales.
static Matrix matrix(int form, int outputs, int inputs, int bias) {
    const int blocks = inputs / 32, bytes[] = {64, 20, 34, 128}, tiles = (int)up(outputs, 32) / 16;
    uint8_t *rows = malloc((size_t)outputs * blocks * bytes[form]), *to = rows;
    for (int i = 0; i < outputs * blocks; i++, to += bytes[form]) {
        for (int k = 0; k < 32; k++) {
            const float value = draw() * 0.2f;
            if (form == F32) memcpy(to + 4 * k, &value, 4);
            else if (form == BF16) memcpy(to + 2 * k, (const uint8_t *)&value + 2, 2);
            else if (form == Q8) to[2 + k] = (uint8_t)(int8_t)(value * 600);
            else to[4 + k / 2] = (uint8_t)(state >> 16);
        }
        const uint16_t scale = (uint16_t)(0x1400 + (state >> 20) % 1024), least = (uint16_t)(0xa800 + (state >> 20) % 512);
        if (form == Q4 || form == Q8) memcpy(to, &scale, 2);
        if (form == Q4) memcpy(to + 2, &least, 2);
    }
    int32_t *order = malloc(sizeof(int32_t) * tiles * 16);
    for (int i = 0; i < tiles * 16; i++) order[i] = i < outputs ? i : -1;
    const size_t size = (size_t)block_bytes[form] * blocks;
    uint8_t *packed = malloc(size * tiles);
    puna_pack(form, rows, (size_t)blocks * bytes[form], order, tiles, blocks, packed, THREADS);
    Tile *each = malloc(sizeof(Tile) * tiles);
    for (int i = 0; i < tiles; i++) each[i] = (Tile){packed + size * i, form, 0};
    return (Matrix){each, bias ? numbers(outputs, 0, 0.3f) : NULL, tiles / 2, blocks};
}

static void print(const float *from, int count) {
    for (int i = 0; i < count; i++) printf("%.9g\n", from[i]);
}

// `tokens` new ones behind `past`: a chain, or else all see the past and `first`, `list` of themselves, or the mask.
static float *read_tokens(const Model *model, float *keys, float *values, int past, int tokens, int chain,
                          const uint8_t *mask, const int32_t *first, const int32_t *list) {
    float *x = numbers(tokens * WIDTH, 0, 1), *cos = numbers(tokens * SIZE / 2, 0, 1), *sin = malloc(sizeof(float) * tokens * SIZE / 2);
    for (int i = 0; i < tokens * SIZE / 2; i++) sin[i] = sqrtf(1 - cos[i] * cos[i]);
    int32_t slot[1024], low[1024], high[1024];
    for (int t = 0; t < tokens; t++) slot[t] = past + t, low[t] = 0, high[t] = chain ? past + t + 1 : mask ? past + tokens : past;
    Pass pass = {tokens, past + tokens, SLOTS, chain, x, cos, sin, keys, values, slot, low, high, mask, first, list};
    if (puna_forward(model, &pass, THREADS)) exit(1);
    print(x, tokens * WIDTH);
    return x;
}

int main(void) {
    Layer layers[LAYERS];
    const int queries = HEADS * SIZE, all_heads = (HEADS + 2 * KV_HEADS) * SIZE;
    for (int l = 0; l < LAYERS; l++)
        layers[l] = (Layer){matrix(l ? Q4 : F32, all_heads, WIDTH, l), matrix(l ? BF16 : Q8, WIDTH, queries, 0),
                            matrix(l ? Q8 : Q4, 2 * FFN, WIDTH, 0), matrix(l ? Q4 : BF16, WIDTH, FFN, l),
                            numbers(WIDTH, 1, 0.3f), numbers(WIDTH, 1, 0.3f)};
    const Model model = {WIDTH, HEADS, KV_HEADS, SIZE, FFN, LAYERS, VOCAB, 1e-5f, layers, numbers(WIDTH, 1, 0.3f),
                         matrix(Q4, VOCAB, WIDTH, 0)};
    const size_t cache = (size_t)LAYERS * KV_HEADS * SLOTS * SIZE;
    float *keys = calloc(cache, 4), *values = calloc(cache, 4);
    const int32_t past = 540;
    read_tokens(&model, keys, values, 0, past, 1, NULL, NULL, NULL);  // reading
    read_tokens(&model, keys, values, past, FEWS, 1, NULL, NULL, NULL);  // writing, in ranges of slots
    int32_t first[TREE + 1] = {0}, list[TREE * 2];
    for (int t = 0; t < TREE; t++) {
        if (t) list[first[t]] = t / 2;
        first[t + 1] = first[t] + (t ? 2 : 1);
        list[first[t + 1] - 1] = t;
    }
    float *hidden = read_tokens(&model, keys, values, TEXT, TREE, 0, NULL, first, list);  // a tree
    uint8_t mask[TREE * (TEXT + TREE)];
    for (int i = 0; i < TREE * (TEXT + TREE); i++) mask[i] = draw() > 0;
    for (int t = 0; t < TREE; t++) mask[t * (TEXT + TREE) + TEXT + t] = 1;
    read_tokens(&model, keys, values, TEXT, TREE, 0, mask, NULL, NULL);
    float *logits = malloc(sizeof(float) * TREE * VOCAB), mass[TREE], picked[1];
    for (int rows = 2; rows <= TREE; rows += TREE - 2) {  // few, and many
        if (puna_logits(&model, hidden, rows, logits, THREADS)) return 1;
        print(logits, rows * VOCAB);
    }
    int32_t picks[(VOCAB + 31) / 32 + 1], row = 7, token = 1099;
    for (int s = 0; s < (VOCAB + 31) / 32 + 1; s++) picks[s] = s > token / 32;
    if (puna_masses(&model, hidden, TREE, mass, picks, &row, &token, picked, THREADS)) return 1;
    print(mass, TREE);
    print(picked, 1);
    return 0;
}
