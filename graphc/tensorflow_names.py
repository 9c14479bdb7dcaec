"""What TensorFlow calls the operations that it has too: the `type` of an operation, as scripts that walk a graph ask for it."""

from __future__ import annotations

_SAME_WORDS = """
    abs acos acosh add_n asin asinh assign assign_add assign_sub atan atan2 atanh avg_pool bias_add bitcast
    bitwise_and bitwise_or bitwise_xor broadcast_to cast ceil cos cosh diag diag_part digamma div_no_nan elu
    ensure_shape equal erf erfc exp expand_dims expm1 floor gather_nd greater greater_equal identity invert
    is_finite is_inf is_nan is_variable_initialized leaky_relu left_shift less less_equal lgamma log log1p
    log_softmax logical_and logical_not logical_or matrix_band_part max_pool maximum minimum mirror_pad mul neg
    no_op not_equal one_hot pad placeholder placeholder_with_default polygamma pow print py_func range reciprocal
    relu relu6 reshape reverse_sequence right_shift rint round rsqrt scatter_add scatter_nd scatter_sub
    scatter_update select selu sigmoid sign sin sinh slice softmax softplus softsign split sqrt square
    squared_difference squeeze stop_gradient strided_slice sub tan tanh tile transpose unique xdivy xlogy shape size
    rank
"""

_OTHER_WORDS = {
    "add": "AddV2", "argmax": "ArgMax", "argmin": "ArgMin", "concat": "ConcatV2", "constant": "Const", "conv2d": "Conv2D",
    "conv2d_filter_gradient": "Conv2DBackpropFilter", "conv2d_input_gradient": "Conv2DBackpropInput",
    "depthwise_conv2d": "DepthwiseConv2dNative", "depthwise_conv2d_filter_gradient": "DepthwiseConv2dNativeBackpropFilter",
    "depthwise_conv2d_input_gradient": "DepthwiseConv2dNativeBackpropInput", "div": "RealDiv", "floordiv": "FloorDiv",
    "floormod": "FloorMod", "gather": "GatherV2", "l2_loss": "L2Loss", "matmul": "MatMul", "matrix_diag": "MatrixDiagV3",
    "read_variable": "Identity", "reduce_all": "All", "reduce_any": "Any", "reduce_max": "Max", "reduce_mean": "Mean",
    "reduce_min": "Min", "reduce_prod": "Prod", "reduce_sum": "Sum", "reverse": "ReverseV2",
    "sparse_softmax_cross_entropy": "SparseSoftmaxCrossEntropyWithLogits", "stack": "Pack", "top_k": "TopKV2",
    "true_indices": "Where", "truncdiv": "TruncateDiv", "truncmod": "TruncateMod", "unit_uniform": "RandomUniform",
    "unstack": "Unpack", "variable": "VariableV2", "avg_pool_gradient": "AvgPoolGrad", "max_pool_gradient": "MaxPoolGrad",
    "linspace": "LinSpace", "matrix_diag_part": "MatrixDiagPartV3", "matrix_set_diag": "MatrixSetDiagV3",
    "setdiff1d": "ListDiff", "softmax_cross_entropy": "SoftmaxCrossEntropyWithLogits",
}  # fmt: skip

_UNKNOWN_SIZES = ("avg_pool", "conv2d", "conv2d_filter_gradient", "conv2d_input_gradient", "depthwise_conv2d",
                  "depthwise_conv2d_filter_gradient", "depthwise_conv2d_input_gradient", "max_pool")  # fmt: skip
"""What has another definition, `windowed_...`, where the sizes of images are unknown."""

TENSORFLOW_NAMES = {word: "".join(map(str.capitalize, word.split("_"))) for word in _SAME_WORDS.split()} | _OTHER_WORDS
TENSORFLOW_NAMES |= {f"windowed_{word}": TENSORFLOW_NAMES[word] for word in _UNKNOWN_SIZES}
