// Compiled for any CPU of its kind, and asked before anything of amx.c or fp32.c may run.
#define EXPORT __attribute__((visibility("default")))

// What the sources were when this was compiled.
EXPORT const char *puna_digest(void) { return PUNA_DIGEST; }

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA 18

static int has_avx2(void) {
    uint32_t a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d)
        && (c >> 29 & 1);  // F16C
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

// AMX with bf16, AVX-512 with what its kernels use beside it, and a system that lets a process use them.
static int has_amx(void) {
    uint32_t a, b, c, d;
    if (!has_avx512() || !__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vnni")) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return 0;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}
#else
static int has_neon(void) { return 1; }  // every 64-bit Arm CPU has it
#endif

// Whether this machine can run the library's code.
EXPORT int puna_supported(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    return PUNA_NEEDS();
}
