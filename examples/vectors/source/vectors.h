/* What the Python module calls. */
#ifndef VECTORS_H
#define VECTORS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the library was built for: "cpu" or "cuda". */
const char *vectors_built_for(void);

/* Why nothing is computed on a GPU; empty where it is. */
const char *vectors_reason(void);

/* sum[i] = a[i] + b[i]. Gives 0, or the number of CUDA's error. */
int vectors_add(const float *a, const float *b, float *sum, size_t length);

#ifdef __cplusplus
}
#endif
#endif
