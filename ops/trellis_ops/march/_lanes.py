"""Vectors of 16 floats in kernels, which LLVM maps to what the processor has: one AVX-512 register, two of AVX, ..."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from trellis_ops._numba import jit


class Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__("Lanes")


LANES_TYPE = Lanes()
VECTOR = ir.VectorType(ir.FloatType(), 16)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, front_end_type) -> None:
        super().__init__(manager, front_end_type, VECTOR)


def _pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


@intrinsic
def load(typing, array, index):
    def build(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], *args), align=4)

    return LANES_TYPE(array, types.uint64), build


@intrinsic
def store(typing, lanes, array, index):
    def build(context, builder, signature, args):
        builder.store(args[0], _pointer(context, builder, signature.args[1], *args[1:]), align=4)
        return context.get_dummy_value()

    return types.void(lanes, array, types.uint64), build


@intrinsic
def spread(typing, x):
    def build(context, builder, signature, args):
        one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 16), [0] * 16))

    return LANES_TYPE(types.float32), build


def _binary(operation):
    @intrinsic
    def op(typing, a, b):
        return LANES_TYPE(a, b), lambda context, builder, signature, args: getattr(builder, operation)(*args)

    return op


add, sub, mul = _binary("fadd"), _binary("fsub"), _binary("fmul")


@intrinsic
def fma(typing, a, b, c):
    def build(context, builder, signature, args):
        f = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), "llvm.fmuladd.v16f32")
        return builder.call(f, args)

    return LANES_TYPE(a, b, c), build


@intrinsic
def totals(typing, a, b, c, d):
    def build(context, builder, signature, args):
        def pick(x, y, lanes):
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), 16), lanes))

        def fold(x, y, half):
            low = [i for i in range(32) if not i & half]
            return builder.fadd(pick(x, y, low), pick(x, y, [i + half for i in low]))

        ab, cd = fold(args[0], args[1], 8), fold(args[2], args[3], 8)
        all_ = fold(ab, cd, 4)
        all_ = builder.fadd(all_, pick(all_, all_, [i ^ 2 for i in range(16)]))
        all_ = builder.fadd(all_, pick(all_, all_, [i ^ 1 for i in range(16)]))
        sums = [builder.extract_element(all_, ir.Constant(ir.IntType(32), i)) for i in (0, 4, 8, 12)]
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float32, 4)(a, b, c, d), build
