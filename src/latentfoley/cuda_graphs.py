"""A network on a GPU as one launch: its kernels are captured once for a shape, and replayed.

The small kernels of a denoiser take a GPU less time than Python takes to ask for them, so that it
waits. A CUDA graph holds all of them, with the memory that they read and write; replaying it runs
the same kernels on the same numbers. Without CUDA, and where gradients are kept, the network is
called as it is.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Capture = Callable[[Function, tuple[Tensor, ...]], Function]

_WARM_UP = 3  # calls before capturing: libraries choose their kernels and reserve memory
_MOST = 4  # graphs that are kept; a long clip has two shapes, its windows and its last one


def capture_cuda_graph(function: Function, inputs: tuple[Tensor, ...]) -> Function:
    """Return the function as a CUDA graph for inputs of these shapes.

    Raises:
        RuntimeError: it does what a graph cannot hold, such as waiting for the GPU.
    """
    own = [tensor.clone() for tensor in inputs]
    beside, current = torch.cuda.Stream(), torch.cuda.current_stream()
    beside.wait_stream(current)
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UP):
            function(*own)
    current.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = function(*own)

    def replay(*given: Tensor) -> Tensor:
        for place, tensor in zip(own, given, strict=True):
            place.copy_(tensor)
        graph.replay()
        return output.clone()

    return replay


class Captured:
    """A function of tensors that is captured for every set of shapes it is called with.

    Threads take turns: a graph has one place for its inputs.
    """

    def __init__(self, function: Function, capture: Capture = capture_cuda_graph) -> None:
        self.function, self.capture = function, capture
        self._captures: OrderedDict[tuple[object, ...], Function] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the function returns for these inputs."""
        if torch.is_grad_enabled():
            return self.function(*inputs)
        shapes = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        with self._lock:
            replay = self._captures.pop(shapes, None) or self._capture(inputs)
            self._captures[shapes] = replay  # the newest is the last
            if len(self._captures) > _MOST:
                self._captures.popitem(last=False)
            return replay(*inputs)

    def _capture(self, inputs: tuple[Tensor, ...]) -> Function:
        try:
            return self.capture(self.function, inputs)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            warnings.warn(f"computing without a CUDA graph: {reason}", stacklevel=3)
            return self.function
