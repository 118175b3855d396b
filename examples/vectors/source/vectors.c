/* The library for computers without an NVIDIA GPU. */
#include "vectors.h"

const char *vectors_built_for(void) { return "cpu"; }

const char *vectors_reason(void) { return "built without CUDA"; }

int vectors_add(const float *a, const float *b, float *sum, size_t length) {
    for (size_t at = 0; at < length; at++) {
        sum[at] = a[at] + b[at];
    }
    return 0;
}
