"""The public names: what stands in tf itself, and what in tf.nn, tf.math and the other namespaces.

Modules list their public functions in `__all__`. Those of the modules named in `TOP` stand in tf under their own names; the
tables say what stands elsewhere, as "name" or "public_name=name".
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from . import (
    collections,
    compatibility,
    config,
    custom_gradients,
    dtypes,
    errors,
    flags,
    gfile,
    gradients,
    graph,
    indexed_slices,
    initializers,
    layers,
    logging,
    optimizers,
    scopes,
    variable_functions,
    variable_scopes,
    variables,
)
from .ops import (
    activations,
    compare,
    constants,
    conversion,
    convolution,
    cross_entropy,
    cumulative,
    data_dependent,
    depthwise,
    diagonals,
    dropout,
    einsum,
    elementwise,
    embedding,
    filling,
    grouping,
    host,
    indexing,
    joining,
    linear_algebra,
    losses,
    movement,
    normalization,
    pooling,
    random,
    reduce,
    scatter_updates,
    segments,
    sequences,
    shape_ops,
    slicing,
    softmax,
    special,
    statistics,
    strided_slices,
    top_k,
)

TOP = (
    collections, compare, compatibility, config, constants, conversion, cumulative, custom_gradients, data_dependent,
    diagonals, einsum, elementwise, filling, gradients, grouping, host, indexed_slices, indexing, joining, movement, random,
    reduce, scatter_updates, scopes, segments, sequences, shape_ops, slicing, special, statistics, strided_slices,
    variable_functions, variable_scopes, variables,
)  # fmt: skip
NETWORKS = (
    activations, convolution, cross_entropy, depthwise, dropout, embedding, normalization, pooling, softmax, top_k,
)  # fmt: skip
MATHEMATICS = (compare, cumulative, elementwise, reduce, segments, special, statistics)

TOP_ALSO = """
    batch_matmul=matmul clip_by_average_norm clip_by_global_norm clip_by_norm concat_v2=concat constant_initializer
    global_norm glorot_normal_initializer glorot_uniform_initializer log_sigmoid matmul ones_initializer
    orthogonal_initializer random_normal_initializer random_uniform_initializer sigmoid tensordot
    truncated_normal_initializer uniform_unit_scaling_initializer variance_scaling_initializer zeros_initializer
    Graph get_default_graph reset_default_graph
"""
TABLES = {
    "nn": "avg_pool2d=avg_pool deconv2d=conv2d_transpose depth_to_space l2_loss l2_normalize max_pool2d=max_pool "
    "silu=swish space_to_depth tanh",
    "math": "divide_no_nan=div_no_nan in_top_k invert_permutation l2_normalize log_sigmoid log_softmax sigmoid softmax "
    "softplus softsign top_k zero_fraction",
    "linalg": "band_part=matrix_band_part diag=matrix_diag diag_part=matrix_diag_part dot_general einsum eye global_norm "
    "l2_normalize matmul matrix_transpose matvec norm orthonormal_columns set_diag=matrix_set_diag tensor_diag=diag "
    "tensor_diag_part=diag_part tensordot trace transpose=matrix_transpose",
    "random": "categorical get_seed multinomial normal=random_normal set_random_seed shuffle=random_shuffle "
    "truncated_normal uniform=random_uniform",
    "manip": "gather_nd reshape reverse roll scatter_nd tile",
    "debugging": "Assert is_finite is_inf is_nan",
    "initializers": "constant=constant_initializer glorot_normal=glorot_normal_initializer "
    "glorot_uniform=glorot_uniform_initializer he_normal he_uniform identity=identity_initializer lecun_normal "
    "lecun_uniform ones=ones_initializer orthogonal=orthogonal_initializer random_normal=random_normal_initializer "
    "random_uniform=random_uniform_initializer truncated_normal=truncated_normal_initializer "
    "uniform_unit_scaling=uniform_unit_scaling_initializer variance_scaling=variance_scaling_initializer "
    "zeros=zeros_initializer global_variables=global_variables_initializer local_variables=local_variables_initializer "
    "variables=variables_initializer",
}


def _public(*modules: ModuleType) -> dict[str, Any]:
    return {name: getattr(module, name) for module in modules for name in module.__all__}


ALL = {
    **_public(initializers, optimizers, linear_algebra, *NETWORKS, *TOP),
    **{name: getattr(graph, name) for name in ("Graph", "get_default_graph", "reset_default_graph")},
}
"""Every function on tensors by its own name (those of tf.layers and tf.losses, which have names of others, left out)."""


def _choose(table: str) -> dict[str, Any]:
    pairs = (word.split("=") for word in table.split())
    return {pair[0]: ALL[pair[-1]] for pair in pairs}


def _namespace(name: str, document: str, names: dict[str, Any]) -> ModuleType:
    """A module graphc.`name` that holds the names."""
    full = f"{__package__}.{name}"
    module = ModuleType(full, document)
    vars(module).update(names)
    sys.modules.setdefault(full, module)
    return module


ELEMENT_TYPES = {t.name: t for t in dtypes.ALL} | {"double": dtypes.double, "half": dtypes.half}

NAMESPACES: dict[str, Any] = {
    "nn": _namespace("nn", "Operations of neural networks.", _public(*NETWORKS) | _choose(TABLES["nn"])),
    "math": _namespace("math", "Mathematical functions.", _public(*MATHEMATICS) | _choose(TABLES["math"])),
    "linalg": _namespace("linalg", "Linear algebra.", _choose(TABLES["linalg"])),
    "random": _namespace("random", "Random numbers.", _choose(TABLES["random"])),
    "manip": _namespace("manip", "Operations that move elements.", _choose(TABLES["manip"])),
    "debugging": _namespace("debugging", "Checks.", _choose(TABLES["debugging"])),
    "bitwise": _namespace("bitwise", "Operations on the bits of integers.", dict(compare.BITWISE)),
    "initializers": _namespace("tf_initializers", "Initial values of variables.", _choose(TABLES["initializers"])),
    "losses": _namespace("losses", "Losses, which join the collection LOSSES.", _public(losses)),
    "train": _namespace("train", "Optimizers, learning rates and the global step.", _public(optimizers)),
    "dtypes": _namespace(
        "tf_dtypes", "Element types.",
        {**ELEMENT_TYPES, "DType": dtypes.DType, "as_dtype": dtypes.as_dtype, **_choose("cast saturate_cast")},
    ),
    "io": _namespace("io", "Files.", {"gfile": _namespace("io.gfile", "Files by names.", gfile.LOWER_CASE)}),
    "app": _namespace("app", "Programs with flags.", {"flags": flags, "run": flags.run}),
    "errors": errors,
    "flags": flags,
    "gfile": gfile,
    "layers": layers,
    "logging": logging,
}  # fmt: skip

FUNCTIONS: dict[str, Any] = _public(*TOP) | _choose(TOP_ALSO) | ELEMENT_TYPES
"""What stands in tf itself, namespaces and classes of the core aside."""
