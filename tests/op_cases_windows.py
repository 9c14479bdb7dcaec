"""Samples of convolutions and pooling."""

import numpy as np
from op_cases import case, floats, integers

from graphc.dtypes import as_dtype
from graphc.operation import apply
from graphc.ops import convolution, convolution_primitives, depthwise, pooling

SMALL_FLOATS = ("float64", "float16", "bfloat16")


def wide(array):
    """An array in the type that is computed in."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind not in "iu" else array


def quarters(shape, dtype="float32", seed=0):
    """Multiples of 1/4, so that sums of products are exact in whatever order."""
    return (np.round(4 * floats(shape, seed=seed)) / 4).astype(as_dtype(dtype).numpy)


# -- windows over images

STRIDES, PADDINGS = ((1, 1), (2, 3)), ("VALID", "SAME", ((1, 2), (0, 3)))


def padding_of(padding, sizes, window, strides, dilations=(1, 1)):
    """Rows and columns of padding, from TensorFlow's definition of SAME."""
    if not isinstance(padding, str):
        return padding
    found = []
    for size, length, stride, dilation in zip(sizes, window, strides, dilations):
        reach = (length - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0) if padding == "SAME" else 0
        found.append((total // 2, total - total // 2))
    return tuple(found)


def output_shape(shape, window, strides, padding, dilations, channels):
    pads = padding_of(padding, shape[1:3], window, strides, dilations)
    counts = [
        (size + sum(pad) - (length - 1) * dilation - 1) // stride + 1
        for size, pad, length, dilation, stride in zip(shape[1:3], pads, window, dilations, strides)
    ]
    return (shape[0], *counts, channels)


def walk_windows(shape, window, strides, padding, dilations=(1, 1)):
    """For every output pixel, and every element of its window inside the image: (row, column), (i, j), (y, x)."""
    (top, _), (left, _) = padding_of(padding, shape[1:3], window, strides, dilations)
    _, rows, columns, _ = output_shape(shape, window, strides, padding, dilations, 1)
    for row, column, i, j in np.ndindex(rows, columns, *window):
        y, x = row * strides[0] + i * dilations[0] - top, column * strides[1] + j * dilations[1] - left
        if 0 <= y < shape[1] and 0 <= x < shape[2]:
            yield (row, column), (i, j), (y, x)


def convolve(x, filters, output, sign, geometry, depthwise_filters):
    """The three operations of a family, element by element: the one of x, filters and output that is `sign` is added to."""
    for (row, column), (i, j), (y, across) in walk_windows(x.shape, filters.shape[:2], *geometry):
        seen, weights = x[:, y, across], filters[i, j]
        out = output[:, row, column]
        if depthwise_filters:
            out = out.reshape(len(out), *weights.shape)
            if sign == "output":
                out += seen[:, :, None] * weights
            elif sign == "x":
                seen += (out * weights).sum(-1)
            else:
                weights += (seen[:, :, None] * out).sum(0)
        elif sign == "output":
            out += seen @ weights
        elif sign == "x":
            seen += out @ weights.T
        else:
            weights += seen.T @ out


def references(geometry, depthwise_filters, x_shape, filter_shape):
    """Functions of (x, filters), (filters, output gradient) and (x, output gradient)."""
    channels = filter_shape[2] * filter_shape[3] if depthwise_filters else filter_shape[3]
    y_shape = output_shape(x_shape, filter_shape[:2], *geometry, channels)

    def forward(x, filters):
        y = np.zeros(y_shape, np.float64)
        convolve(x.astype(np.float64), filters.astype(np.float64), y, "output", geometry, depthwise_filters)
        return y

    def of_input(filters, gradient):
        x = np.zeros(x_shape, np.float64)
        convolve(x, filters.astype(np.float64), gradient.astype(np.float64), "x", geometry, depthwise_filters)
        return x

    def of_filter(x, gradient):
        filters = np.zeros(filter_shape, np.float64)
        convolve(x.astype(np.float64), filters, gradient.astype(np.float64), "filter", geometry, depthwise_filters)
        return filters

    return y_shape, forward, of_input, of_filter


def typed_pair(a, b, more=True):
    return [(quarters(a, d), quarters(b, d, 1)) for d in ("float32", *(SMALL_FLOATS if more else ()))]


def smooth(*shapes):
    return [tuple(floats(shape, dtype="float64", seed=i) for i, shape in enumerate(shapes))]


GEOMETRIES = [
    (strides, padding, dilations)
    for strides in STRIDES for padding in PADDINGS for dilations in ((1, 1), (2, 1)) if strides == (1, 1) or dilations == (1, 1)
]  # fmt: skip
FAMILIES = {
    False: (convolution_primitives.CONV2D, convolution_primitives.CONV2D_INPUT_GRADIENT,
            convolution_primitives.CONV2D_FILTER_GRADIENT, ((2, 7, 8, 3), (3, 2, 3, 5)), ((1, 5, 5, 1), (1, 1, 1, 17))),
    True: (convolution_primitives.DEPTHWISE_CONV2D, convolution_primitives.DEPTHWISE_INPUT_GRADIENT,
           convolution_primitives.DEPTHWISE_FILTER_GRADIENT, ((2, 7, 8, 3), (3, 2, 3, 2)), ((1, 5, 5, 17), (3, 3, 17, 1))),
}  # fmt: skip

for is_depthwise, (forward_family, input_family, filter_family, *all_shapes) in FAMILIES.items():
    for number, geometry in enumerate(GEOMETRIES):
        strides, padding, dilations = geometry
        for x_shape, filter_shape in all_shapes[: 1 if number else 2]:
            y_shape, forward, of_input, of_filter = references(geometry, is_depthwise, x_shape, filter_shape)
            pads = padding_of(padding, x_shape[1:3], filter_shape[:2], strides, dilations)
            exact = {"strides": strides, "padding": pads, "dilations": dilations}
            label = f"{strides}{padding}{dilations}{x_shape[-1]}"
            more = number in (0, 7)
            case(
                forward_family.primitive.name, lambda x, f, d=forward_family.primitive, a=exact: apply(d, [x, f], **a),
                typed_pair(x_shape, filter_shape, more), forward, label=label,
                gradient=smooth(x_shape, filter_shape) if number < 4 else False,
            )  # fmt: skip
            case(
                input_family.primitive.name,
                lambda f, g, d=input_family.primitive, a=exact, s=x_shape: apply(d, [f, g], input_shape=s, **a),
                typed_pair(filter_shape, y_shape, more), of_input, label=label,
                gradient=smooth(filter_shape, y_shape) if number < 4 else False,
            )  # fmt: skip
            case(
                filter_family.primitive.name,
                lambda x, g, d=filter_family.primitive, a=exact, s=filter_shape: apply(d, [x, g], filter_shape=s, **a),
                typed_pair(x_shape, y_shape, more), of_filter, label=label,
                gradient=smooth(x_shape, y_shape) if number < 4 else False,
            )  # fmt: skip


def spoiled(image):
    """An image with NaN in one corner and infinities in others."""
    found = image.copy()
    found[0, 0, 0, 0], found[0, -1, -1, -1], found[-1, 0, -1, 0] = np.nan, np.inf, -np.inf
    return found


for is_depthwise, (forward_family, *_, all_shapes) in ((d, (f[0], f[3])) for d, f in FAMILIES.items()):
    x_shape, filter_shape = all_shapes
    _, forward, _, _ = references(((1, 1), "SAME", (1, 1)), is_depthwise, x_shape, filter_shape)
    exact = {"strides": (1, 1), "padding": padding_of("SAME", x_shape[1:3], filter_shape[:2], (1, 1)), "dilations": (1, 1)}
    case(
        forward_family.primitive.name, lambda x, f, d=forward_family.primitive, a=exact: apply(d, [x, f], **a),
        [(spoiled(quarters(x_shape)), quarters(filter_shape, seed=1))], forward, label="special",
    )  # fmt: skip


def channels_last(function):
    """A reference for images as NCHW."""

    def reference(*arrays):
        turned_arrays = [a.transpose(0, 2, 3, 1) for a in arrays[:1]] + list(arrays[1:])
        return function(*turned_arrays).transpose(0, 3, 1, 2)

    return reference


NCHW, FILTER = (2, 3, 7, 8), (3, 2, 3, 4)
_geometry = ((2, 2), "SAME", (1, 1))
_, _forward, _of_input, _of_filter = references(_geometry, False, (2, 7, 8, 3), FILTER)
case("windowed_conv2d", lambda x, f: convolution.conv2d(x, f, [1, 1, 2, 2], "SAME", data_format="NCHW"),
     typed_pair(NCHW, FILTER), channels_last(_forward), gradient=smooth(NCHW, FILTER))  # fmt: skip
case("windowed_conv2d", lambda x, f: convolution.conv2d(x, f, 2, "SAME"), typed_pair((2, 7, 8, 3), FILTER, False), _forward,
     label="unknown")  # fmt: skip
case(
    "windowed_conv2d_input_gradient",
    lambda f, g: convolution.conv2d_backprop_input([2, 3, 7, 8], f, g, [1, 1, 2, 2], "SAME", data_format="NCHW"),
    typed_pair(FILTER, (2, 4, 4, 4)), lambda f, g, of=_of_input: of(f, g.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    gradient=smooth(FILTER, (2, 4, 4, 4)),
)  # fmt: skip
case(
    "windowed_conv2d_filter_gradient",
    lambda x, g: convolution.conv2d_backprop_filter(x, FILTER, g, [1, 1, 2, 2], "SAME", data_format="NCHW"),
    typed_pair(NCHW, (2, 4, 4, 4)), lambda x, g, of=_of_filter: of(x.transpose(0, 2, 3, 1), g.transpose(0, 2, 3, 1)),
    gradient=smooth(NCHW, (2, 4, 4, 4)),
)  # fmt: skip

DEPTHWISE_FILTER = (3, 2, 3, 2)
_, _forward, _of_input, _of_filter = references(_geometry, True, (2, 7, 8, 3), DEPTHWISE_FILTER)
case("windowed_depthwise_conv2d", lambda x, f: depthwise.depthwise_conv2d(x, f, [1, 1, 2, 2], "SAME", data_format="NCHW"),
     typed_pair(NCHW, DEPTHWISE_FILTER), channels_last(_forward), gradient=smooth(NCHW, DEPTHWISE_FILTER))  # fmt: skip
for _family, _reference, _first, _attribute in (
    (convolution_primitives.DEPTHWISE_INPUT_GRADIENT, _of_input, DEPTHWISE_FILTER, {"input_shape": (2, 7, 8, 3)}),
    (convolution_primitives.DEPTHWISE_FILTER_GRADIENT, _of_filter, (2, 7, 8, 3), {"filter_shape": DEPTHWISE_FILTER}),
):
    case(
        _family.composite.name,
        lambda a, b, d=_family.composite, more=_attribute: apply(
            d, [a, b], strides=(2, 2), padding="SAME", dilations=(1, 1), data_format="NHWC", **more
        ),
        typed_pair(_first, (2, 4, 4, 6)), _reference, gradient=smooth(_first, (2, 4, 4, 6)),
    )  # fmt: skip


# -- pooling


def pool(x, ksize, strides, padding, kind):
    shape = output_shape(x.shape, ksize, strides, padding, (1, 1), x.shape[-1])
    inside = {}
    for pixel, _, place in walk_windows(x.shape, ksize, strides, padding):
        inside.setdefault(pixel, []).append(wide(x)[:, place[0], place[1]])
    result = np.zeros(shape, wide(x).dtype)
    for pixel, seen in inside.items():
        result[:, pixel[0], pixel[1]] = np.max(seen, 0) if kind == "max" else np.mean(seen, 0)
    return result


def pool_gradient(x, gradient, ksize, strides, padding, kind):
    """Of a maximum to the first element that equals it; of an average equal shares."""
    result, counts, done = np.zeros(x.shape), {}, {}
    y = pool(x, ksize, strides, padding, kind)
    for pixel, _, _ in walk_windows(x.shape, ksize, strides, padding):
        counts[pixel] = counts.get(pixel, 0) + 1
    for (row, column), _, (i, j) in walk_windows(x.shape, ksize, strides, padding):
        if kind == "avg":
            result[:, i, j] += gradient[:, row, column].astype(np.float64) / counts[row, column]
            continue
        taken = done.setdefault((row, column), np.zeros(gradient.shape[::3], bool))
        here = (wide(x)[:, i, j] == y[:, row, column]) & ~taken
        result[:, i, j] += np.where(here, gradient[:, row, column].astype(np.float64), 0)
        taken |= here
    return result


POOLS = (((2, 2), (2, 2), "VALID"), ((3, 2), (2, 1), "SAME"), ((3, 3), (1, 2), ((1, 1), (0, 2))), ((1, 1), (2, 2), "SAME"))
IMAGE = (2, 7, 8, 3)


def images(integer=False):
    found = [(floats(IMAGE),), (floats((1, 5, 5, 17)),), (floats(IMAGE).round(),)]
    found += [(floats(IMAGE, dtype=d),) for d in SMALL_FLOATS]
    return found + [(integers(IMAGE, dtype=d),) for d in ("int32", "uint8")] if integer else found


for ksize, strides, padding in POOLS:
    label = f"{ksize}{strides}{padding}"
    pads = padding_of(padding, IMAGE[1:3], ksize, strides)
    exact = {"ksize": ksize, "strides": strides, "padding": pads}
    pooled = output_shape(IMAGE, ksize, strides, pads, (1, 1), 3)
    for definition, kind in ((pooling.MAX_POOL, "max"), (pooling.AVG_POOL, "avg")):
        case(
            definition.name, lambda x, d=definition, a=exact: apply(d, [x], **a), images(kind == "max"),
            lambda x, a=exact, kind=kind: pool(x, a["ksize"], a["strides"], a["padding"], kind), label=label, rounding=4,
            gradient=[(floats(IMAGE, dtype="float64"),)],
        )  # fmt: skip
    both = typed_pair(IMAGE, pooled) + [(floats(IMAGE).round(), floats(pooled))]
    case(
        "max_pool_gradient",
        lambda x, g, a=exact: apply(pooling.MAX_POOL_GRADIENT, [x, apply(pooling.MAX_POOL, [x], **a), g], **a),
        both, lambda x, g, a=exact: pool_gradient(x, g, a["ksize"], a["strides"], a["padding"], "max"), label=label,
        gradient=smooth(IMAGE, pooled), rounding=4,
    )  # fmt: skip
    case(
        "max_pool_pick",
        lambda x, v, a=exact: apply(pooling.MAX_POOL_PICK, [x, apply(pooling.MAX_POOL, [x], **a), v], **a),
        [(x, x) for x, _ in both], lambda x, v, a=exact: pool(v, a["ksize"], a["strides"], a["padding"], "max"), label=label,
        gradient=smooth(IMAGE, IMAGE), known_shapes=True,
    )  # fmt: skip
    case(
        "avg_pool_gradient", lambda g, a=exact: apply(pooling.AVG_POOL_GRADIENT, [g], input_shape=IMAGE, **a),
        [(quarters(pooled, d),) for d in ("float32", *SMALL_FLOATS)],
        lambda g, a=exact: pool_gradient(np.zeros(IMAGE), g, a["ksize"], a["strides"], a["padding"], "avg"), label=label,
        gradient=smooth(pooled), rounding=4,
    )  # fmt: skip

for name, function, kind in (("windowed_max_pool", pooling.max_pool, "max"), ("windowed_avg_pool", pooling.avg_pool, "avg")):
    case(
        name, lambda x, f=function: f(x, [1, 1, 2, 3], [1, 1, 2, 2], "SAME", data_format="NCHW"), [(floats((2, 3, 7, 8)),)],
        channels_last(lambda x, kind=kind: pool(x, (2, 3), (2, 2), "SAME", kind)), gradient=smooth((2, 3, 7, 8)), rounding=4,
    )  # fmt: skip

NOT_NUMBERS = np.array([[1, 2, np.nan, 1], [2, 0, -np.inf, 1], [-np.inf, -np.inf, np.inf, 5]], np.float32).reshape(1, 3, 4, 1)
for ksize, strides, padding in (((2, 2), (1, 1), "VALID"), ((3, 2), (2, 2), "SAME")):
    exact = {"ksize": ksize, "strides": strides, "padding": padding_of(padding, (3, 4), ksize, strides)}
    pooled = output_shape(NOT_NUMBERS.shape, ksize, strides, exact["padding"], (1, 1), 1)
    case(
        "max_pool", lambda x, a=exact: apply(pooling.MAX_POOL, [x], **a), [(NOT_NUMBERS,), (NOT_NUMBERS.astype(np.float64),)],
        lambda x, a=exact: pool(x, a["ksize"], a["strides"], a["padding"], "max"), label=f"special {ksize}",
    )  # fmt: skip
    case(
        "max_pool_gradient",
        lambda x, g, a=exact: apply(pooling.MAX_POOL_GRADIENT, [x, apply(pooling.MAX_POOL, [x], **a), g], **a),
        [(NOT_NUMBERS, floats(pooled))],
        lambda x, g, a=exact: pool_gradient(x, g, a["ksize"], a["strides"], a["padding"], "max"), label=f"special {ksize}",
    )  # fmt: skip
