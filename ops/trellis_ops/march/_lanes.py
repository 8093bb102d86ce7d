"""Vectors of 16 floats inside kernels. LLVM maps them to what the processor has: one register of AVX-512, two of AVX.

numba's own vectoriser makes nothing of short loops over places that only the run knows (an index may wrap, arrays may
overlap); with these the march takes a sixth of the time. A kernel's cache does not notice changes of this file: after
one, delete the cached kernels that use it.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

VECTOR = ir.VectorType(ir.FloatType(), 16)
INT32 = ir.IntType(32)


class Lanes(types.Type):
    """numba's name for the vector; it lives in registers, and never leaves a kernel."""


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


LANES = Lanes("Lanes")
_vector: Any = intrinsic  # numba calls these with its typing context in front; kernels, without it


def _pointer(context, builder, kind, array, index):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


def _pick(builder, a, b, lanes):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


@_vector
def load(typing, array, index):
    """array[index : index + 16] of a contiguous float32 array."""

    def build(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], *args), align=4)

    return LANES(array, types.uint64), build


@_vector
def store(typing, lanes, array, index):
    """array[index : index + 16] = lanes."""

    def build(context, builder, signature, args):
        builder.store(args[0], _pointer(context, builder, signature.args[1], *args[1:]), align=4)
        return context.get_dummy_value()

    return types.void(lanes, array, types.uint64), build


@_vector
def spread(typing, x):
    """x in every lane."""

    def build(context, builder, signature, args):
        one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), args[0], INT32(0))
        return _pick(builder, one, one, [0] * 16)

    return LANES(types.float32), build


def _of_two(instruction: str) -> Any:
    @_vector
    def operation(typing, a, b):
        return LANES(a, b), lambda context, builder, signature, args: getattr(builder, instruction)(*args)

    return operation


add, sub, mul = _of_two("fadd"), _of_two("fsub"), _of_two("fmul")


@_vector
def fma(typing, a, b, c):
    """a * b + c, rounded once where the processor can."""

    def build(context, builder, signature, args):
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.v16f32"), args)

    return LANES(a, b, c), build


@_vector
def totals(typing, a, b, c, d):
    """The sums of the lanes of a, b, c and d, all four by the same additions."""

    def build(context, builder, signature, args):
        def halved(x, y, width):
            """Lanes whose number has not the bit `width`, plus those that have it: of x, then of y."""
            low = [i for i in range(32) if not i & width]
            return builder.fadd(_pick(builder, x, y, low), _pick(builder, x, y, [i + width for i in low]))

        sums = halved(halved(args[0], args[1], 8), halved(args[2], args[3], 8), 4)  # four lanes of each
        for width in (2, 1):
            sums = builder.fadd(sums, _pick(builder, sums, sums, [i ^ width for i in range(16)]))
        four = [builder.extract_element(sums, INT32(lane)) for lane in (0, 4, 8, 12)]
        return context.make_tuple(builder, signature.return_type, four)

    return types.UniTuple(types.float32, 4)(a, b, c, d), build
