// A Llama's layers and head over packed weights, for CPUs with AMX. See README.md beside this file.
#define TOGETHER 32  // rows that attention takes at a time
#define CHUNK 256    // rows that meet a strip of unpacked weights in one task
#include "amx_attention.h"
#include "amx_products.h"
#include "calls.h"
#include "train_rows.h"
#include "amx_train_attention.h"
#include "amx_train_sums.h"
