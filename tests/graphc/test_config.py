from graphc.config import ConfigProto, GPUOptions, OptimizerOptions, RunOptions


def test_options_are_kept():
    config = ConfigProto(allow_soft_placement=True, intra_op_parallelism_threads=2, gpu_options=GPUOptions(allow_growth=True))
    assert config.allow_soft_placement
    assert config.intra_op_parallelism_threads == 2
    assert config.gpu_options.allow_growth
    config.gpu_options.per_process_gpu_memory_fraction = 0.5
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.5


def test_defaults():
    config = ConfigProto()
    assert config.intra_op_parallelism_threads == 0
    assert config.log_device_placement is False
    assert config.gpu_options.allow_growth is False
    assert config.graph_options.optimizer_options.global_jit_level == 0
    config.graph_options.optimizer_options.global_jit_level = OptimizerOptions.ON_1
    assert config.graph_options.optimizer_options.global_jit_level == 1
    config.device_count["GPU"] = 0
    assert ConfigProto().device_count == {}
    assert config.anything_else is None
    assert not hasattr(config, "__deepcopy__")
    assert RunOptions(trace_level=RunOptions.FULL_TRACE).trace_level == 3


def test_copies_and_comparison():
    first, second = ConfigProto(allow_soft_placement=True), ConfigProto()
    assert first != second
    second.CopyFrom(first)
    assert first == second
    assert second.HasField("allow_soft_placement")
    second.MergeFrom(ConfigProto(log_device_placement=True))
    assert second.log_device_placement
    assert "allow_soft_placement=True" in repr(second)
