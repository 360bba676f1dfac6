/* SPDX-License-Identifier: Apache-2.0
 * What this CPU and the operating system offer. */
#ifndef SDX_BASE_CPU_H
#define SDX_BASE_CPU_H
#include <stdbool.h>
#include <stddef.h>

typedef enum sdx_isa {
    SDX_ISA_GENERIC = 0,
    SDX_ISA_AVX2 = 1,   /* AVX2, FMA, F16C */
    SDX_ISA_AVX512 = 2, /* F, BW, DQ, VL on top; ymm and zmm state enabled by the system */
    SDX_ISA_COUNT
} sdx_isa;

typedef struct sdx_cpu {
    sdx_isa isa;       /* the best level, or what SARDONYX_CPU=generic|avx2|avx512 lowers it to */
    bool vnni, bf16;   /* AVX512_VNNI, AVX512_BF16 */
    size_t l1, l2, l3; /* data cache bytes; 0 when unknown */
} sdx_cpu;

sdx_cpu sdx_cpu_detect(void);
const char *sdx_isa_name(sdx_isa isa);

#endif
