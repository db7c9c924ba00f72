"""Layers of a transformer by oneDNN's own product, whose weights lie as it wants them.

Torch hands it weights as they are, which it then puts in its own order for every batch.
"""

import torch
from torch.nn import MultiheadAttention
from torch.nn.functional import scaled_dot_product_attention


class PackedLinear(torch.nn.Module):
    """A linear layer, and an activation, by one operator of oneDNN; weights as it wants them."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        activation: str = "none",
        variant: str = "",
    ) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self.bias, self.activation, self.variant = bias, activation, variant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows (..., n_in) to rows (..., n_out)."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.variant
        )
        return out


class PackedAttention(torch.nn.Module):
    """Attention of a batch to itself, by two products and what is between them."""

    def __init__(self, whole: MultiheadAttention) -> None:
        super().__init__()
        self.n_heads = whole.num_heads
        self.in_projection = PackedLinear(whole.in_proj_weight, whole.in_proj_bias)
        self.out_projection = PackedLinear(whole.out_proj.weight, whole.out_proj.bias)

    def forward(
        self,
        x: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        need_weights: bool = False,
        attn_mask: None = None,
    ) -> tuple[torch.Tensor, None]:
        """Tokens (batch, length, width), given thrice as torch's does, to as many."""
        n, length, width = x.shape
        parts = self.in_projection(x).view(n, length, 3, self.n_heads, width // self.n_heads)
        mixed = scaled_dot_product_attention(*parts.permute(2, 0, 3, 1, 4))
        return self.out_projection(mixed.transpose(1, 2).reshape(n, length, width)), None


class PackedPatches(torch.nn.Module):
    """A convolution whose windows do not overlap: one product for each."""

    def __init__(self, convolution: torch.nn.Conv2d) -> None:
        super().__init__()
        self.height, self.width = convolution.kernel_size
        # Of every window (height, width, channel), as images lie in memory.
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
        self.linear = PackedLinear(weight, convolution.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, channels, height, width) to (batch, n_out, rows, columns)."""
        n, channels, height, width = images.shape
        rows, columns = height // self.height, width // self.width
        pixels = images[:, :, : rows * self.height, : columns * self.width].permute(0, 2, 3, 1)
        windows = pixels.reshape(n, rows, self.height, columns, self.width * channels)
        flat = windows.transpose(2, 3).reshape(n, rows, columns, -1)
        out: torch.Tensor = self.linear(flat).permute(0, 3, 1, 2)
        return out
