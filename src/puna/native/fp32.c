// A Llama's layers and head over packed weights, in fp32 for any CPU with fused products. See README.md beside this file.
#include "fp32_attention.h"
#include "calls.h"
#include "train_rows.h"
