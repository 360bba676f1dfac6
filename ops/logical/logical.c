/* SPDX-License-Identifier: Apache-2.0
 * Comparisons, boolean and bitwise operators of two broadcast inputs; BitShift, where a shift by the width or more (or
 * by a negative amount) leaves nothing but the sign. */
#include "ops/math/binary.h"

#define VT(since, types, attributes)                                                                                   \
    { since, "A:T B:T -> C:T1", "T=" types " T1=bool", attributes }
#define NUMBERS    SDX_T_NUMERIC
#define NUMBERS_BF SDX_T_NUMERIC_BF
#define NO         sdx_no_gradient

#define BOOLEAN(op)                                                                                                    \
    SDX_BINARY_OP(op, op, false, sdx_binary_upgrade, NO, SDX_OP_INPLACE, VT(1, "bool", SDX_BROADCAST_OLD),             \
                  VT(7, "bool", ""))
BOOLEAN(And)
BOOLEAN(Or)
BOOLEAN(Xor)

SDX_BINARY_OP(Equal, Equal, false, sdx_binary_upgrade, NO, 0, VT(1, "bool|i32|i64", SDX_BROADCAST_OLD),
              VT(7, "bool|i32|i64", ""), VT(11, NUMBERS "|bool", ""), VT(13, NUMBERS_BF "|bool", ""),
              VT(19, NUMBERS_BF "|bool|string", ""))

#define ORDER(op, swap)                                                                                                \
    SDX_BINARY_OP(op, Greater, swap, sdx_binary_upgrade, NO, 0, VT(1, SDX_T_FLOAT, SDX_BROADCAST_OLD),                 \
                  VT(7, SDX_T_FLOAT, ""), VT(9, NUMBERS, ""), VT(13, NUMBERS_BF, ""))
ORDER(Greater, false)
ORDER(Less, true)

#define ORDER_OR_EQUAL(op, swap)                                                                                       \
    SDX_BINARY_OP(op, GreaterOrEqual, swap, NULL, NO, 0, VT(12, NUMBERS, ""), VT(16, NUMBERS_BF, ""))
ORDER_OR_EQUAL(GreaterOrEqual, false)
ORDER_OR_EQUAL(LessOrEqual, true)

#define BITWISE(op) SDX_BINARY_OP(op, op, false, NULL, NO, SDX_OP_INPLACE, SDX_V(18, "A:T B:T -> C:T", SDX_T_INT, ""))
BITWISE(BitwiseAnd)
BITWISE(BitwiseOr)
BITWISE(BitwiseXor)

static sdx_status bit_shift_bind(sdx_bind *bind, void *params) {
    static const char *const allowed[] = {"LEFT", "RIGHT"};
    int direction = sdx_bind_choice(bind, "direction", allowed, 2);
    return sdx_binary_bind(bind, params, direction == 1 ? SDX_BINARY_Shr : SDX_BINARY_Shl, false);
}

const sdx_op sdx_op_BitShift = {
    .domain = "",
    .name = "BitShift",
    .versions =
        (const sdx_op_version[]){
            SDX_V(11, "X:T Y:T -> Z:T", "u16|u32|u64|u8", "direction:string!"),
            SDX_V(28, "X:T Y:T -> Z:T", SDX_T_INT, "direction:string!"),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_binary_params),
    .bind = bit_shift_bind,
    .infer = sdx_binary_infer,
    .compute = sdx_binary_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_INPLACE,
};
