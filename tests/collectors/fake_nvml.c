/* A fake NVML for the tests. What it answers stands in the file $FAKE_NVML, one "key=value" a line, read
 * at every call: "count=2", "driver=580.1", "init=9" (nvmlInit fails with 9), and for the GPU 0
 * "0.power=300000"; the GPU's MIG instance 1 is "0/1.uuid=...". A key that is not there is not supported;
 * a value "!4" is the error 4. "0.lost=15": every call about GPU 0 fails with 15, until the line is gone
 * AND NVML was shut down and initialised anew, as it is with a real one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, MISMATCH = 25 };
enum { GPUS = 4, PLACES = 8 };

struct device {
    int epoch, gpu, instance; /* instance -1: the GPU itself */
};
typedef struct device *handle;
typedef unsigned int uint;
typedef unsigned long long ull;

static int epoch, initialised, lost[GPUS];
static struct device pool[4096];
static int used;

static int find(const char *key, char *value, size_t size) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    int found = 0;
    size_t length = strlen(key);
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

static int number(const char *key, int otherwise) {
    char value[512];
    return find(key, value, sizeof value) ? atoi(value) : otherwise;
}

static int answer(handle device, const char *name, char *value, size_t size) {
    char key[128];
    if (!initialised) return UNINITIALIZED;
    if (!device || device->epoch != epoch) return INVALID;
    snprintf(key, sizeof key, "%d.lost", device->gpu);
    int now = number(key, 0);
    if (now) lost[device->gpu] = now;
    if (lost[device->gpu]) return lost[device->gpu];
    if (device->instance < 0) snprintf(key, sizeof key, "%d.%s", device->gpu, name);
    else snprintf(key, sizeof key, "%d/%d.%s", device->gpu, device->instance, name);
    if (!find(key, value, size)) return NOT_SUPPORTED;
    return value[0] == '!' ? atoi(value + 1) : OK;
}

static int numbers(handle device, const char *name, ull *into, int count) {
    char value[512], *at = value;
    int code = answer(device, name, value, sizeof value);
    for (int i = 0; code == OK && i < count; i++) into[i] = strtoull(at, &at, 10);
    return code;
}

static int one(handle device, const char *name, uint *into) {
    ull value = 0;
    int code = numbers(device, name, &value, 1);
    *into = (uint)value;
    return code;
}

static int of(handle device, const char *name, uint index, uint *into) {
    char key[64];
    snprintf(key, sizeof key, "%s%u", name, index);
    return one(device, key, into);
}

static int make(int gpu, int instance, handle *into) {
    if (used == 4096) abort();
    pool[used] = (struct device){epoch, gpu, instance};
    *into = &pool[used++];
    return OK;
}

int nvmlInitWithFlags(uint flags) {
    (void)flags;
    int code = number("init", OK);
    if (code != OK) return code;
    const char *log = getenv("FAKE_NVML_STARTS"); /* a line for each start, where somebody counts them */
    FILE *starts = log ? fopen(log, "a") : NULL;
    if (starts) fputs("start\n", starts), fclose(starts);
    if (initialised++ == 0) memset(lost, 0, sizeof lost);
    return OK;
}
int nvmlShutdown(void) {
    if (!initialised) return UNINITIALIZED;
    if (--initialised == 0) epoch++;
    return OK;
}
const char *nvmlErrorString(int code) { (void)code; return "a fake error"; }
int nvmlSystemGetDriverVersion(char *into, uint size) {
    return initialised && find("driver", into, size) ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetCount_v2(uint *count) { *count = (uint)number("count", 0); return initialised ? OK : UNINITIALIZED; }
int nvmlDeviceGetHandleByIndex_v2(uint index, handle *into) {
    char key[64];
    if (!initialised) return UNINITIALIZED;
    if (index >= (uint)number("count", 0)) return INVALID;
    snprintf(key, sizeof key, "%u.handle", index);
    int code = number(key, OK);
    return code ? code : make((int)index, -1, into);
}
int nvmlDeviceGetName(handle d, char *into, uint size) { return answer(d, "name", into, size); }
int nvmlDeviceGetUUID(handle d, char *into, uint size) { return answer(d, "uuid", into, size); }
int nvmlDeviceGetUtilizationRates(handle d, uint *into) {
    ull v[2] = {0, 0};
    int code = numbers(d, "utilization", v, 2);
    into[0] = (uint)v[0], into[1] = (uint)v[1];
    return code;
}
struct memory2 { uint version; ull total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(handle d, struct memory2 *into) {
    ull v[4] = {0, 0, 0, 0};
    if (into->version != (sizeof *into | 2u << 24)) return MISMATCH;
    int code = numbers(d, "memory", v, 4);
    into->total = v[0], into->reserved = v[1], into->free = v[2], into->used = v[3];
    return code;
}
struct memory1 { ull total, free, used; };
int nvmlDeviceGetMemoryInfo(handle d, struct memory1 *into) {
    ull v[4] = {0, 0, 0, 0};
    int code = numbers(d, "memory", v, 4);
    into->total = v[0], into->free = v[2], into->used = v[1] + v[3]; /* version 1 knows no reserve */
    return code;
}
struct temperature { uint version; uint sensor; int celsius; };
int nvmlDeviceGetTemperatureV(handle d, struct temperature *into) {
    uint value = 0;
    if (into->version != (sizeof *into | 1u << 24)) return MISMATCH;
    int code = one(d, "temperature", &value);
    into->celsius = (int)value;
    return code;
}
int nvmlDeviceGetTemperature(handle d, uint sensor, uint *into) { (void)sensor; return one(d, "temperature", into); }
int nvmlDeviceGetTemperatureThreshold(handle d, uint which, uint *into) { return of(d, "limit", which, into); }
int nvmlDeviceGetPowerUsage(handle d, uint *into) { return one(d, "power", into); }
int nvmlDeviceGetEnforcedPowerLimit(handle d, uint *into) { return one(d, "power_limit", into); }
int nvmlDeviceGetTotalEnergyConsumption(handle d, ull *into) { return numbers(d, "energy", into, 1); }
int nvmlDeviceGetClockInfo(handle d, uint which, uint *into) { return of(d, "clock", which, into); }
int nvmlDeviceGetMaxClockInfo(handle d, uint which, uint *into) { return of(d, "max_clock", which, into); }
int nvmlDeviceGetCurrentClocksEventReasons(handle d, ull *into) { return numbers(d, "reasons", into, 1); }
int nvmlDeviceGetCurrentClocksThrottleReasons(handle d, ull *into) { return numbers(d, "reasons", into, 1); }
int nvmlDeviceGetTotalEccErrors(handle d, uint kind, uint since, ull *into) {
    ull v[2] = {0, 0};
    int code = numbers(d, since ? "ecc_lifetime" : "ecc", v, 2);
    *into = v[kind];
    return code;
}
int nvmlDeviceGetRemappedRows(handle d, uint *a, uint *b, uint *c, uint *e) {
    ull v[4] = {0, 0, 0, 0};
    int code = numbers(d, "rows", v, 4);
    *a = (uint)v[0], *b = (uint)v[1], *c = (uint)v[2], *e = (uint)v[3];
    return code;
}
int nvmlDeviceGetPcieThroughput(handle d, uint which, uint *into) { return of(d, "pcie", which, into); }
int nvmlDeviceGetPcieReplayCounter(handle d, uint *into) { return one(d, "replays", into); }

struct process { uint pid; ull memory; uint gpu_instance, compute_instance; };
static int processes(handle d, const char *name, uint *count, struct process *into) {
    char value[512], *at = value; /* "3 100 1000 200 2000 ...": how many, then pid and bytes of each */
    int code = answer(d, name, value, sizeof value);
    if (code != OK) return code;
    uint there = (uint)strtoul(at, &at, 10), room = *count;
    *count = there;
    if (room < there) return TOO_SMALL;
    for (uint i = 0; into && i < there; i++) {
        uint pid = (uint)strtoul(at, &at, 10);
        into[i] = (struct process){pid, strtoull(at, &at, 10), ~0u, ~0u};
    }
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(handle d, uint *n, struct process *p) { return processes(d, "compute", n, p); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(handle d, uint *n, struct process *p) { return processes(d, "graphics", n, p); }

int nvmlDeviceGetMigMode(handle d, uint *current, uint *pending) {
    int code = one(d, "mig", current);
    *pending = *current;
    return code;
}
int nvmlDeviceGetMaxMigDeviceCount(handle d, uint *into) {
    (void)d;
    *into = PLACES;
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(handle d, uint index, handle *into) {
    char key[64], value[512];
    snprintf(key, sizeof key, "%d/%u.uuid", d->gpu, index);
    return find(key, value, sizeof value) ? make(d->gpu, (int)index, into) : NOT_FOUND;
}
int nvmlDeviceGetGpuInstanceId(handle d, uint *into) { return one(d, "gpu_instance", into); }
int nvmlDeviceGetComputeInstanceId(handle d, uint *into) { return one(d, "compute_instance", into); }

struct field { uint id, scope; long long time, latency; uint type; int code; ull value; };
int nvmlDeviceGetFieldValues(handle d, int count, struct field *fields) {
    char value[512];
    int code = answer(d, "", value, sizeof value); /* whether the GPU is there at all */
    if (code == NOT_SUPPORTED) code = OK;
    for (int i = 0; code == OK && i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "field%u", fields[i].id);
        fields[i].value = 0xdeadbeef; /* garbage where the field has no value, as from a real one */
        ull v = 0;
        fields[i].code = numbers(d, key, &v, 1);
        if (fields[i].code == OK) fields[i].value = v, fields[i].type = 1;
    }
    return code;
}
