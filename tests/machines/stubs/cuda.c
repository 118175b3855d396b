/* A stand-in for libcuda.so.1. What it says comes from environment variables:
 *
 *   STUB_CUDA_UMD     what cuDriverGetVersion gives; STUB_CUDA, then 12040 by default
 *   STUB_GPUS         as in nvml.c; a GPU in MIG mode is opened only when it has a profile
 *   STUB_CUDA_OPENS   number of GPUs that CUDA can open, all by default
 *   STUB_CUDA_INIT    `hang`, `crash`, or an error code for cuInit
 *
 * Like the real one it obeys CUDA_VISIBLE_DEVICES, here only as a count of entries. Declarations after NVIDIA's CUDA
 * Driver API.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUCCESS 0
#define INVALID_VALUE 1
#define NO_DEVICE 100
#define INVALID_DEVICE 101

typedef struct { char name[96]; int major, minor; unsigned long long mib; char mig[256]; int number; } gpu_t;

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static void copy_field(char *to, size_t size, const char **from, char end) {
    size_t length = 0;
    while (**from && **from != end && **from != ';') {
        if (length + 1 < size) to[length++] = **from;
        (*from)++;
    }
    to[length] = 0;
    if (**from == end) (*from)++;
}

static int read_gpus(gpu_t *gpus, int most) {
    const char *text = setting("STUB_GPUS", ""), *visible = getenv("CUDA_VISIBLE_DEVICES");
    int count = 0, number = 0, limit = atoi(setting("STUB_CUDA_OPENS", "99"));
    if (visible) limit = *visible ? 1 : 0;
    while (*text && count < most && count < limit) {
        char capability[16], mib[32];
        gpu_t *gpu = &gpus[count];
        copy_field(gpu->name, sizeof gpu->name, &text, '|');
        copy_field(capability, sizeof capability, &text, '|');
        copy_field(mib, sizeof mib, &text, '|');
        copy_field(gpu->mig, sizeof gpu->mig, &text, '|');
        if (*text == ';') text++;
        sscanf(capability, "%d.%d", &gpu->major, &gpu->minor);
        gpu->mib = strtoull(mib, NULL, 10);
        gpu->number = number++;
        if (strcmp(gpu->mig, "on")) count++;
    }
    return count;
}

static int find(int device, gpu_t *gpu) {
    gpu_t gpus[16];
    if (device < 0 || device >= read_gpus(gpus, 16)) return INVALID_DEVICE;
    *gpu = gpus[device];
    return SUCCESS;
}

int cuInit(unsigned flags) {
    const char *mode = setting("STUB_CUDA_INIT", "0");
    gpu_t gpus[16];
    (void)flags;
    if (!strcmp(mode, "hang")) for (;;) pause();
    if (!strcmp(mode, "crash")) *(volatile int *)0 = 0;
    if (atoi(mode)) return atoi(mode);
    return read_gpus(gpus, 16) ? SUCCESS : NO_DEVICE;
}
int cuDriverGetVersion(int *version) {
    *version = atoi(setting("STUB_CUDA_UMD", setting("STUB_CUDA", "12040")));
    return SUCCESS;
}
int cuGetErrorName(int code, const char **name) {
    switch (code) {
    case 34: *name = "CUDA_ERROR_STUB_LIBRARY"; return SUCCESS;
    case 100: *name = "CUDA_ERROR_NO_DEVICE"; return SUCCESS;
    case 802: *name = "CUDA_ERROR_SYSTEM_NOT_READY"; return SUCCESS;
    case 803: *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return SUCCESS;
    case 804: *name = "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"; return SUCCESS;
    case 999: *name = "CUDA_ERROR_UNKNOWN"; return SUCCESS;
    default: *name = NULL; return INVALID_VALUE;
    }
}
int cuDeviceGetCount(int *count) { gpu_t gpus[16]; *count = read_gpus(gpus, 16); return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { gpu_t gpu; *device = ordinal; return find(ordinal, &gpu); }
int cuDeviceGetName(char *text, int size, int device) {
    gpu_t gpu; int code = find(device, &gpu);
    if (!code) snprintf(text, (size_t)size, "%s", gpu.name);
    return code;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    gpu_t gpu; int code = find(device, &gpu);
    if (code) return code;
    if (attribute != 75 && attribute != 76) return INVALID_VALUE;
    *value = attribute == 75 ? gpu.major : gpu.minor;
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    gpu_t gpu; int code = find(device, &gpu);
    /* The real one leaves out what the driver keeps for itself. */
    if (!code) *bytes = (size_t)(gpu.mib > 300 ? gpu.mib - 300 : gpu.mib) << 20;
    return code;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) {
    gpu_t gpu; int code = find(device, &gpu);
    memset(uuid, 0, 16);
    if (!code) uuid[15] = (unsigned char)gpu.number;
    return code;
}
int cuDeviceGetPCIBusId(char *text, int size, int device) {
    gpu_t gpu; int code = find(device, &gpu);
    if (!code) snprintf(text, (size_t)size, "0000:%02x:00.0", 0x10 + gpu.number);
    return code;
}
