"""The order of the passes, as one list."""

from __future__ import annotations

from graphc.passes.base import Context, Pass
from graphc.passes.canonicalize import Canonicalize
from graphc.passes.choose_layout import ChooseLayout
from graphc.passes.eliminate_common_subexpressions import EliminateCommonSubexpressions
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.expand_composites import ExpandComposites
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.factor_products import FactorProducts
from graphc.passes.fold_constants import FoldConstants
from graphc.passes.fuse import Fuse
from graphc.passes.lower_precision import LowerPrecision
from graphc.passes.manager import run_passes
from graphc.passes.merge_products import MergeProducts
from graphc.passes.order_contractions import OrderContractions
from graphc.passes.place_results import PlaceResults
from graphc.passes.split_contractions import SplitContractions
from graphc.passes.split_reductions import SplitReductions
from graphc.passes.stabilise import Stabilise
from graphc.passes.sum_products import SumProducts
from graphc.program import Program

PASSES: tuple[Pass, ...] = (
    Stabilise(),
    ExpandGradients(),
    ExpandComposites(),
    EliminateDeadCode(),
    FoldConstants(),
    Canonicalize(),
    ChooseLayout(),
    SumProducts(),
    SplitContractions(),
    SplitReductions(),
    FoldConstants(),
    EliminateCommonSubexpressions(),
    EliminateDeadCode(),
    FactorProducts(),
    EliminateDeadCode(),
    LowerPrecision(),
    MergeProducts(),
    EliminateDeadCode(),
    OrderContractions(),
    Fuse(),
    PlaceResults(),
)
"""From a specialised program, with every dimension known, to one whose operations run as kernels.

Dead code goes early, since gradients of composites leave much of it; constants are folded before rules look for them, and
again for what rules made of them.
"""


def optimise(program: Program, context: Context | None = None) -> Program:
    """The program after all passes."""
    return run_passes(PASSES, program, context or Context())
