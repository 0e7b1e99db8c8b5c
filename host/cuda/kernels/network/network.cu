// The float network's kernels: an operator each, over all samples of a batch. They take the evaluation, the operator's number and a word that is not used.
#include "network_attention.cuh"
#include "network_conv.cuh"
#include "network_norm.cuh"
#include "network_pointwise.cuh"
#include "network_tensor.cuh"

#define NETWORK_KERNEL(NAME, CALL)                                                                                     \
    extern "C" __global__ void NAME(const NetworkRun *at, u64 number, u64) {                                           \
        DYNAMIC_SHARED(shared);                                                                                        \
        const NetworkRun &run = *at;                                                                                   \
        const NetworkOp &op = run.ops[number];                                                                         \
        CALL;                                                                                                          \
    }

NETWORK_KERNEL(network_pointwise, pointwise(run, op))
NETWORK_KERNEL(network_conv, conv(run, op, shared))
NETWORK_KERNEL(network_tensor_conv, tensor_conv(run, op))
NETWORK_KERNEL(network_norm, norm(run, op))
NETWORK_KERNEL(network_attention, attention(run, op, shared))
