// Compiled for any x86-64, and asked before anything of kernels.c may run.
#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA 18

// What the sources were when this was compiled.
EXPORT const char *puna_digest(void) { return PUNA_DIGEST; }

// Whether this machine has AVX-512 with bf16 and AMX with bf16, and the system lets a process use them.
EXPORT int puna_supported(void) {
    uint32_t a, b, c, d;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")
        || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512bf16")
        || !__builtin_cpu_supports("avx512vnni"))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return 0;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}
