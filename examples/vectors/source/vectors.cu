// The library for NVIDIA GPUs. Without a driver or a GPU it computes on the CPU and says why.
#include <cuda_runtime.h>

#include "vectors.h"

namespace {

__global__ void add_kernel(const float *a, const float *b, float *sum, size_t length) {
    size_t at = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
    if (at < length) {
        sum[at] = a[at] + b[at];
    }
}

// Device memory that is given back however a function ends.
struct Memory {
    float *floats = nullptr;
    ~Memory() { cudaFree(floats); }
};

cudaError_t on_gpu(const float *a, const float *b, float *sum, size_t length) {
    const size_t bytes = length * sizeof(float);
    const float *given[] = {a, b};
    Memory memory[3];
    for (int which = 0; which < 3; which++) {
        if (cudaError_t error = cudaMalloc(&memory[which].floats, bytes)) {
            return error;
        }
    }
    for (int which = 0; which < 2; which++) {
        if (cudaError_t error = cudaMemcpy(memory[which].floats, given[which], bytes, cudaMemcpyHostToDevice)) {
            return error;
        }
    }
    const unsigned blocks = static_cast<unsigned>((length + 255) / 256);
    add_kernel<<<blocks, 256>>>(memory[0].floats, memory[1].floats, memory[2].floats, length);
    if (cudaError_t error = cudaGetLastError()) {
        return error;
    }
    return cudaMemcpy(sum, memory[2].floats, bytes, cudaMemcpyDeviceToHost);
}

}  // namespace

extern "C" const char *vectors_built_for(void) { return "cuda"; }

extern "C" const char *vectors_reason(void) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        return cudaGetErrorString(error);
    }
    return count ? "" : "there is no GPU";
}

extern "C" int vectors_add(const float *a, const float *b, float *sum, size_t length) {
    if (length == 0) {
        return 0;
    }
    if (vectors_reason()[0] == '\0') {
        return on_gpu(a, b, sum, length);
    }
    for (size_t at = 0; at < length; at++) {
        sum[at] = a[at] + b[at];
    }
    return 0;
}
