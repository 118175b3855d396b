/* A stand-in for libnvidia-ml.so.1. What it says comes from environment variables:
 *
 *   STUB_DRIVER       driver version, 550.54.15 by default
 *   STUB_CUDA         what nvmlSystemGetCudaDriverVersion gives, 12040 by default
 *   STUB_GPUS         one GPU per `;`, each `name|capability|MiB|MIG`, where MIG is empty, `off`, `on` (enabled, no
 *                     device made) or a list of profiles such as `1g.10gb,2g.20gb`
 *   STUB_LOST         index of a GPU that is lost
 *   STUB_NVML         `hang`, `crash`, `crash-late` (after the first GPU) or an error code for nvmlInit
 *   STUB_NO_CAPABILITY  set: nvmlDeviceGetCudaComputeCapability is not supported
 *   STUB_NOISE        set: prints to standard output while it starts
 *
 * Declarations after NVIDIA's NVML API Reference Guide. A handle is the number of the GPU plus one; that of a MIG
 * device is 1000 * (GPU + 1) + device.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define GPU_IS_LOST 15

typedef void *device_t;
typedef struct { char name[96]; int major, minor; unsigned long long mib; char mig[256]; } gpu_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, pci_device, pci_subsystem; char bus_id[32]; } pci_t;
typedef struct { unsigned long long total, free, used; } memory_t;

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
    const char *text = setting("STUB_GPUS", "");
    int count = 0;
    while (*text && count < most) {
        char capability[16], mib[32];
        gpu_t *gpu = &gpus[count++];
        copy_field(gpu->name, sizeof gpu->name, &text, '|');
        copy_field(capability, sizeof capability, &text, '|');
        copy_field(mib, sizeof mib, &text, '|');
        copy_field(gpu->mig, sizeof gpu->mig, &text, '|');
        if (*text == ';') text++;
        sscanf(capability, "%d.%d", &gpu->major, &gpu->minor);
        gpu->mib = strtoull(mib, NULL, 10);
    }
    return count;
}

static int find(device_t handle, gpu_t *gpu, int *mig) {
    gpu_t gpus[16];
    long number = (long)handle;
    int count = read_gpus(gpus, 16), index = (int)(number >= 1000 ? number / 1000 : number) - 1;
    if (index < 0 || index >= count) return INVALID_ARGUMENT;
    *gpu = gpus[index];
    *mig = number >= 1000 ? (int)(number % 1000) : -1;
    return SUCCESS;
}

static int profile_of(const gpu_t *gpu, int wanted, char *profile, size_t size) {
    const char *text = gpu->mig;
    if (!strcmp(text, "on") || !strcmp(text, "off")) return 0;
    for (int index = 0; *text; index++) {
        copy_field(profile, size, &text, ',');
        if (index == wanted) return 1;
    }
    return 0;
}

int nvmlInitWithFlags(unsigned flags) {
    const char *mode = setting("STUB_NVML", "0");
    (void)flags;
    if (getenv("STUB_NOISE")) { puts("{\"noise\": \"from the driver\"}"); fflush(stdout); }
    if (!strcmp(mode, "hang")) for (;;) pause();
    if (!strcmp(mode, "crash")) *(volatile int *)0 = 0;
    return atoi(mode);
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stub"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    snprintf(text, size, "%s", setting("STUB_DRIVER", "550.54.15"));
    return SUCCESS;
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = atoi(setting("STUB_CUDA", "12040"));
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    gpu_t gpus[16];
    *count = (unsigned)read_gpus(gpus, 16);
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *handle) {
    if (index == 1 && !strcmp(setting("STUB_NVML", ""), "crash-late")) *(volatile int *)0 = 0;
    *handle = (device_t)(long)(index + 1);
    return SUCCESS;
}
int nvmlDeviceGetName(device_t handle, char *text, unsigned size) {
    gpu_t gpu; int mig, code = find(handle, &gpu, &mig); char profile[64];
    if (code) return code;
    if (atoi(setting("STUB_LOST", "-1")) == (int)(long)handle - 1) return GPU_IS_LOST;
    if (mig >= 0 && profile_of(&gpu, mig, profile, sizeof profile)) snprintf(text, size, "%s MIG %s", gpu.name, profile);
    else snprintf(text, size, "%s", gpu.name);
    return SUCCESS;
}
int nvmlDeviceGetUUID(device_t handle, char *text, unsigned size) {
    gpu_t gpu; int mig, code = find(handle, &gpu, &mig);
    long number = (long)handle;
    if (code) return code;
    if (mig >= 0) snprintf(text, size, "MIG-00000000-0000-0000-%04ld-00000000%04d", number / 1000 - 1, mig);
    else snprintf(text, size, "GPU-00000000-0000-0000-0000-%012lx", number - 1);
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v3(device_t handle, pci_t *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x10 + (unsigned)(long)handle - 1;
    pci->pci_device = 0x233010de;
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(device_t handle, int *major, int *minor) {
    gpu_t gpu; int mig, code = find(handle, &gpu, &mig);
    if (code) return code;
    if (getenv("STUB_NO_CAPABILITY")) return NOT_SUPPORTED;
    *major = gpu.major; *minor = gpu.minor;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(device_t handle, memory_t *memory) {
    gpu_t gpu; int mig, gigabytes = 0, code = find(handle, &gpu, &mig); char profile[64];
    if (code) return code;
    if (!gpu.mib) return NOT_SUPPORTED;
    memory->total = gpu.mib << 20;
    if (mig >= 0 && profile_of(&gpu, mig, profile, sizeof profile)) {
        sscanf(strchr(profile, '.') ? strchr(profile, '.') + 1 : "0", "%d", &gigabytes);
        memory->total = (unsigned long long)gigabytes << 30;
    }
    memory->free = memory->total; memory->used = 0;
    return SUCCESS;
}
int nvmlDeviceGetMigMode(device_t handle, unsigned *current, unsigned *pending) {
    gpu_t gpu; int mig, code = find(handle, &gpu, &mig);
    if (code) return code;
    if (!*gpu.mig) return NOT_SUPPORTED;
    *current = *pending = strcmp(gpu.mig, "off") != 0;
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(device_t handle, unsigned *count) { (void)handle; *count = 7; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(device_t handle, unsigned index, device_t *mig_handle) {
    gpu_t gpu; int mig, code = find(handle, &gpu, &mig); char profile[64];
    if (code) return code;
    if (!profile_of(&gpu, (int)index, profile, sizeof profile)) return NOT_FOUND;
    *mig_handle = (device_t)((long)handle * 1000 + (long)index);
    return SUCCESS;
}
