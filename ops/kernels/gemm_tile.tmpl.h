/* SPDX-License-Identifier: Apache-2.0
 * The register tile of one element type: MR rows of NV vectors of accumulators, one rank-1 update per step of k.
 * Parameters: T, V (its vector), LANES, MR, FN(name), LOAD, LOAD_N, STORE, STORE_N, SET, FMA, CLAMP(v, tile), DIRECT:
 * whether A may come as rows. */
#define NV 2

/* rows, vectors and direct are constants at every call, so that the accumulators are registers. */
static inline __attribute__((always_inline)) void FN(body)(const sdx_gemm_tile *t, const int rows, const int vectors,
                                                           const bool direct) {
    V acc[MR][NV] RAW;
    const T *a = t->a, *b = t->b, *row_bias = t->row_bias, *column_bias = t->column_bias, *residual = t->residual;
    const int64_t tail = t->n - (vectors - 1) * LANES;
    const bool whole = tail == LANES;
    T *c = t->c;
    int64_t at[MR] RAW; /* rows that are not there are read as the last one */
    SDX_UNROLL for (int i = 0; i < rows; i++) at[i] = direct ? (i < t->m ? i : t->m - 1) * t->a_row : i;
    const int64_t a_step = direct ? t->a_step : MR, b_step = t->b_step ? t->b_step : NV * LANES;
    if (t->k >= PREFETCH)
        SDX_UNROLL for (int i = 0; i < rows; i++) SDX_UNROLL for (int j = 0; j < vectors; j++)
            __builtin_prefetch(c + i * t->ldc + j * LANES, 1);
    SDX_UNROLL for (int i = 0; i < rows; i++) SDX_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = SET(0);
    for (int64_t k = 0; k < t->k; k++, a += a_step, b += b_step) {
        V line[NV] RAW;
        SDX_UNROLL for (int j = 0; j < vectors; j++) line[j] = LOAD(b + j * LANES);
        SDX_UNROLL for (int i = 0; i < rows; i++) {
            V one = SET(a[at[i]]);
            SDX_UNROLL for (int j = 0; j < vectors; j++) acc[i][j] = FMA(one, line[j], acc[i][j]);
        }
    }
    if (!t->accumulate && !row_bias && !column_bias && !residual && !t->clamp) {
        SDX_UNROLL for (int i = 0; i < rows; i++) {
            if (i >= t->m) break;
            T *to = c + i * t->ldc;
            SDX_UNROLL for (int j = 0; j < vectors; j++) {
                if (whole || j + 1 < vectors)
                    STORE(to + j * LANES, acc[i][j]);
                else
                    STORE_N(to + j * LANES, acc[i][j], tail);
            }
        }
        return;
    }
    SDX_UNROLL for (int i = 0; i < rows; i++) {
        if (i >= t->m) break;
        const V start = SET(row_bias ? row_bias[i] : 0);
        SDX_UNROLL for (int j = 0; j < vectors; j++) {
            T *to = c + i * t->ldc + j * LANES;
            const T *add = residual ? residual + i * t->ldc + j * LANES : NULL;
            const T *column = column_bias ? column_bias + j * LANES : NULL;
            V sum = acc[i][j];
            if (whole || j + 1 < vectors) {
                if (t->accumulate) sum += LOAD(to);
                sum += column ? LOAD(column) : start;
                if (add) sum += LOAD(add);
                STORE(to, CLAMP(sum, t));
            } else {
                if (t->accumulate) sum += LOAD_N(to, tail);
                sum += column ? LOAD_N(column, tail) : start;
                if (add) sum += LOAD_N(add, tail);
                STORE_N(to, CLAMP(sum, t), tail);
            }
        }
    }
}

static inline __attribute__((always_inline)) void FN(sized)(const sdx_gemm_tile *t, const bool direct) {
    const bool narrow = t->n <= LANES;
    if (t->m == 1)
        narrow ? FN(body)(t, 1, 1, direct) : FN(body)(t, 1, NV, direct);
    else if (t->m <= MR / 4)
        narrow ? FN(body)(t, MR / 4, 1, direct) : FN(body)(t, MR / 4, NV, direct);
    else if (t->m <= MR / 2)
        narrow ? FN(body)(t, MR / 2, 1, direct) : FN(body)(t, MR / 2, NV, direct);
#if SDX_LEVEL_AVX512
    else if (t->m <= MR - 4)
        narrow ? FN(body)(t, MR - 4, 1, direct) : FN(body)(t, MR - 4, NV, direct);
    else if (t->m <= MR - 2)
        narrow ? FN(body)(t, MR - 2, 1, direct) : FN(body)(t, MR - 2, NV, direct);
#endif
    else
        narrow ? FN(body)(t, MR, 1, direct) : FN(body)(t, MR, NV, direct);
}

static void FN(chain)(const sdx_gemm_tile *t) {
#if DIRECT
    if (t->a_row) {
        FN(sized)(t, true);
        return;
    }
#endif
    FN(sized)(t, false);
}

/* A long sum is made of chains of CHAIN terms, each started at zero: the rounding error grows with the length of a
 * chain, while the tile of c stays in the first-level cache between them. */
void FN(tile)(const sdx_gemm_tile *t) {
    sdx_gemm_tile part = {.c = t->c, .ldc = t->ldc, .m = t->m, .n = t->n, .accumulate = t->accumulate, .k = CHAIN};
    part.a_row = t->a_row, part.a_step = t->a_step, part.b_step = t->b_step;
    const int64_t a_step = CHAIN * (t->a_row ? t->a_step : MR), b_step = CHAIN * (t->b_step ? t->b_step : NV * LANES);
    const T *a = t->a, *b = t->b;
    int64_t left = t->k;
    for (; left > CHAIN; left -= CHAIN, a += a_step, b += b_step) {
        part.a = a;
        part.b = b;
        FN(chain)(&part);
        part.accumulate = true;
    }
    sdx_gemm_tile last = *t;
    last.k = left;
    last.a = a;
    last.b = b;
    last.accumulate = part.accumulate;
    FN(chain)(&last);
}
#undef NV
#undef T
#undef V
#undef LANES
#undef FN
#undef LOAD
#undef LOAD_N
#undef STORE
#undef STORE_N
#undef SET
#undef FMA
#undef CLAMP
#undef DIRECT
