import torch
from torch import Tensor, nn

from daframework.interfaces import Generator


class ColourMatrix(Generator):
    """One learnt 3 x 3 matrix and offset on the colours, the same at every pixel. It starts as the identity.

    Args:
        margin: Share of the range [-1, 1] given up at its ends, where the inverse of tanh is infinite; between 0 and 1.
    """

    def __init__(self, *, margin: float = 0.01) -> None:
        super().__init__()
        if not 0 < margin < 1:
            raise ValueError(f"margin must be between 0 and 1, got {margin}")
        self.margin = margin
        self.matrix = nn.Conv2d(3, 3, kernel_size=1)
        nn.init.dirac_(self.matrix.weight)
        nn.init.zeros_(self.matrix.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> the same."""
        return torch.tanh(self.matrix(torch.atanh(image * (1 - self.margin))))
