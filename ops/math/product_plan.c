/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/product_plan.h"

typedef sdx_product_plan plan;

enum {
    DEPTH = 256,         /* steps of k per pass: a panel of B of 32 columns takes 32 KiB; ... */
    DEPTH_LARGE = 512,   /* ... twice that where the second-level cache has 1 MiB */
    BLOCK_BYTES = 2048,  /* lines of a block, in bytes of one line's element: 512 f32, 256 f64 */
    TASKS = 16,          /* blocks to aim for */
    LEAST_WORK = 1 << 19 /* multiply-adds below which a block is not cut further */
};

/* mr and nr (for 4-byte elements) of every kernel table. */
static const int shapes[][2] = {{4, 8}, {6, 16}, {14, 32}};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static bool is_narrow(sdx_dtype dtype) { return dtype == SDX_F16 || dtype == SDX_BF16 || dtype == SDX_I8; }

/* Halves blocks until there are enough of them. The lines of a packed factor are cut first, while the other factor is
 * reused enough: blocks that differ in the other one alone follow each other, so that a constant, which may be larger
 * than the caches, is read from memory once. Columns that are gathered anew (a constant A) are not cut below four
 * panels for the same reason. */
static void cut(plan *p, bool packed_a, bool packed_b) {
    const int64_t most = BLOCK_BYTES / (int64_t)p->element;
    p->columns_slow = packed_b && !packed_a;
    p->block_m = round_up(least(p->m, most - most % p->mr), p->mr);
    p->block_n = round_up(least(p->n, most), p->nr);
    for (;;) {
        int64_t tasks = p->batch * ceil_div(p->m, p->block_m) * ceil_div(p->n, p->block_n);
        bool can_m = p->block_m > p->mr, can_n = p->block_n > p->nr;
        if (tasks >= TASKS || p->block_m * p->block_n * (p->k + 1) < LEAST_WORK || !(can_m || can_n)) break;
        const bool wide = p->block_n > 4 * p->nr, larger = p->block_n >= p->block_m;
        const bool columns = packed_a != packed_b ? wide || !can_m : can_n && (larger || !can_m);
        if (columns && can_n)
            p->block_n = round_up(p->block_n / 2, p->nr);
        else if (can_m)
            p->block_m = round_up(p->block_m / 2, p->mr);
        else
            break;
    }
    p->block_m = round_up(ceil_div(p->m, ceil_div(p->m, p->block_m)), p->mr);
    p->block_n = round_up(ceil_div(p->n, ceil_div(p->n, p->block_n)), p->nr);
    p->blocks_m = ceil_div(p->m, p->block_m);
    p->blocks_n = ceil_div(p->n, p->block_n);
    p->blocks_k = p->k > p->most_depth ? ceil_div(p->k, p->most_depth) : 1;
    p->depth = ceil_div(p->k, p->blocks_k);
}

static bool make_plan(plan *p, sdx_dtype dtype, int mr, int nr, bool packed_a, bool packed_b, int64_t matrices_a,
                      int64_t matrices_b) {
    p->element = sdx_panel_element(dtype);
    p->narrow = is_narrow(dtype);
    p->mr = mr, p->nr = nr;
    cut(p, packed_a, packed_b);
    p->local_a = !packed_a && p->blocks_n == 1 && matrices_a == p->batch;
    p->local_b = !packed_b && p->blocks_m == 1 && matrices_b == p->batch;
    p->shared_a = !packed_a && !p->local_a;
    p->shared_b = !packed_b && !p->local_b;
    p->direct_a = p->direct_a && (!p->narrow || p->local_a);
    if (p->direct_a && !p->narrow) p->local_a = p->shared_a = false;
    if (p->direct_b) p->local_b = p->shared_b = false;
    p->matrices_a = p->shared_a ? matrices_a : 0;
    p->matrices_b = p->shared_b ? matrices_b : 0;
    size_t block_c = 0, bias = 0;
    bool fits = sdx_panel_bytes(p->matrices_a, p->m, mr, p->k, p->element, &p->shared_a_bytes) &&
                sdx_panel_bytes(p->matrices_b, p->n, nr, p->k, p->element, &p->shared_b_bytes) &&
                sdx_panel_bytes(p->local_a, p->block_m, mr, p->depth, p->element, &p->local_a_bytes) &&
                sdx_panel_bytes(p->local_b, p->block_n, nr, p->depth, p->element, &p->local_b_bytes) &&
                sdx_panel_bytes(p->narrow, p->block_m, mr, p->block_n, p->element, &block_c) &&
                sdx_panel_bytes(p->narrow, p->block_m + p->block_n, nr, 1, p->element, &bias);
    p->worker_bytes = p->local_a_bytes + p->local_b_bytes + block_c + bias;
    return fits;
}

size_t sdx_product_scratch(sdx_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, bool packed_a,
                           bool packed_b, int threads) {
    size_t most = 0;
    if (batch == 0 || m == 0 || n == 0) return 0;
    const int64_t lines[2][2] = {{m, n}, {n, m}}; /* a product with one column is turned round */
    for (int turned = 0; turned <= (n == 1 && !packed_a && !packed_b); turned++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int one = 0; one < 4; one++) {
                plan p = {
                    .batch = batch, .m = lines[turned][0], .n = lines[turned][1], .k = k, .most_depth = DEPTH_LARGE};
                int nr = shapes[s][1] * 4 / (int)sdx_panel_element(dtype);
                size_t bytes = 0;
                if (!make_plan(&p, dtype, shapes[s][0], nr, packed_a, packed_b, one & 1 ? 1 : batch,
                               one & 2 ? 1 : batch) ||
                    !sdx_size_mul(p.worker_bytes, (size_t)threads, &bytes) ||
                    !sdx_size_add(bytes, p.shared_a_bytes, &bytes) || !sdx_size_add(bytes, p.shared_b_bytes, &bytes))
                    return SIZE_MAX;
                if (bytes > most) most = bytes;
            }
    return most;
}

/* Packing a factor pays when its elements are read often enough. */
enum { DIRECT_COLUMNS = 8, DIRECT_ROWS = 2, DIRECT_BYTES = 16384 }; /* panels of B, of A; a whole matrix B */

static void choose_direct(plan *p, const sdx_product *product, int mr, int nr) {
    const sdx_factor *a = &product->a, *b = &product->b;
    const bool is_float = sdx_dtype_class(product->dtype) == SDX_CLASS_FLOAT;
    const int64_t element = (int64_t)sdx_dtype_size(product->dtype);
    p->direct_a = is_float && a->data && a->k_step == 1 && a->line_step > 0 && p->n <= DIRECT_COLUMNS * nr;
    p->direct_b = is_float && element >= 4 && b->data && b->line_step == 1 && b->k_step > 0 && p->n % (nr / 2) == 0 &&
                  (p->m <= DIRECT_ROWS * mr || p->k <= DIRECT_BYTES / (p->n * element));
}

bool sdx_product_plan_make(plan *p, const sdx_kernels *kernels, const sdx_product *product) {
    int mr = 0, nr = 0;
    kernels->gemm_shape(sdx_panel_element(product->dtype), &mr, &nr);
    p->most_depth = kernels->cpu.l2 >= 1 << 20 ? DEPTH_LARGE : DEPTH;
    choose_direct(p, product, mr, nr);
    const int64_t matrices_a = sdx_factor_is_one(product, &product->a) ? 1 : p->batch;
    const int64_t matrices_b = sdx_factor_is_one(product, &product->b) ? 1 : p->batch;
    return make_plan(p, product->dtype, mr, nr, product->a.packed, product->b.packed, matrices_a, matrices_b);
}
