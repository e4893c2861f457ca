/* SPDX-License-Identifier: BSD-3-Clause */
#include "dtype.h"

const struct tc_dtype_row tc_dtype_rows[TC_DTYPES] = {
    [TC_F32] = {"float32", "f32", 4, 'f'},   [TC_F64] = {"float64", "f64", 8, 'f'},
    [TC_F16] = {"float16", "f16", 2, 'f'},   [TC_BF16] = {"bfloat16", "bf16", 2, 'f'},
    [TC_C64] = {"complex64", "c64", 8, 'c'}, [TC_C128] = {"complex128", "c128", 16, 'c'},
    [TC_I8] = {"int8", "i8", 1, 'i'},        [TC_I16] = {"int16", "i16", 2, 'i'},
    [TC_I32] = {"int32", "i32", 4, 'i'},     [TC_I64] = {"int64", "i64", 8, 'i'},
    [TC_U8] = {"uint8", "u8", 1, 'u'},       [TC_U16] = {"uint16", "u16", 2, 'u'},
    [TC_U32] = {"uint32", "u32", 4, 'u'},    [TC_U64] = {"uint64", "u64", 8, 'u'},
};
