// Packed trees: which row sees which, as whole blocks and as bits.
#pragma once
#include "calls.h"

enum { UNSEEN, PARTLY, SEEN };

// All the attention of a layer of training; rows of tree i are [start[i], start[i + 1]).
typedef struct {
    int32_t trees, tokens, heads, kv_heads, size;
    const int32_t *start, *order;  // [trees + 1]; the trees, largest first
    const uint32_t *words;         // of the trees one after the other, as Seen
    const uint8_t *kinds;
    const float *cos, *sin;  // [T, E / 2]
    Number *qkv;             // [T, H + 2 K, E]
    Number *mixed;           // [T, H, E]
    float *mass;             // [H, T]: log2 of the softmax's denominator
    const Number *grad;      // of `mixed`, or NULL on the way there
} Training;

// One tree, in blocks of 32 rows.
typedef struct {
    uint32_t *words;  // [blocks * 32 keys][blocks]: bit q of word b is set if row 32 b + q sees the key
    uint8_t *kinds;   // [blocks of keys][blocks of queries]
} Seen;

typedef struct {
    const Training *at;
    uint8_t *rooms;
    size_t room;
    atomic_int counter;
} Trees;

static inline Seen seen_of(const Training *at, int tree) {
    Seen seen = {(uint32_t *)at->words, (uint8_t *)at->kinds};
    for (int i = 0; i < tree; i++) {
        const size_t blocks = (at->start[i + 1] - at->start[i] + 31) / 32;
        seen.words += 32 * blocks * blocks;
        seen.kinds += blocks * blocks;
    }
    return seen;
}

// What rows of a tree see: themselves and their ancestors. parents[r] < r, or -1.
EXPORT void puna_train_seen(const int32_t *parents, int rows, uint32_t *words, uint8_t *kinds) {
    const int blocks = (rows + 31) / 32;
    memset(words, 0, (size_t)blocks * blocks * 128);
    for (int r = 0; r < rows; r++)
        for (int key = r; key >= 0; key = parents[key]) words[(size_t)key * blocks + r / 32] |= 1u << r % 32;
    for (int key = 0; key < blocks; key++)
        for (int query = 0; query < blocks; query++) {
            uint32_t some = 0, every = ~0u;
            for (int s = 0; s < 32; s++) {
                const uint32_t word = words[(size_t)(32 * key + s) * blocks + query];
                some |= word;
                every &= word;
            }
            kinds[key * blocks + query] = every == ~0u ? SEEN : some ? PARTLY : UNSEEN;
        }
}
