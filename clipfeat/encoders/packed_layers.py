"""Layers of a transformer whose weights are packed in oneDNN's layout.

If the weights are not packed in advance, oneDNN packs them again for every batch.
"""

import torch
from torch.nn import MultiheadAttention
from torch.nn.functional import scaled_dot_product_attention


class PackedLinear(torch.nn.Module):
    """Linear layer with packed weights, and optionally an activation in the same operator.

    Parameters
    ----------
    weight : Tensor of shape (n_out, n_in)
        Weight of the linear layer.
    bias : Tensor of shape (n_out,), optional
        Bias of the linear layer.
    activation : str
        ``"none"``, ``"gelu"`` or ``"swish"``.
    variant : str
        The approximation of ``"gelu"``, as in `torch.nn.GELU`.
    """

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
        """Map rows (..., n_in) to rows (..., n_out)."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.variant
        )
        return out


class PackedAttention(torch.nn.Module):
    """Self-attention with packed projections.

    Parameters
    ----------
    attention : MultiheadAttention
        The layer to replace. Its batch axis is the first one.
    """

    def __init__(self, attention: MultiheadAttention) -> None:
        super().__init__()
        self.n_heads = attention.num_heads
        self.in_projection = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self.out_projection = PackedLinear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self,
        x: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        need_weights: bool = False,
        attn_mask: None = None,
    ) -> tuple[torch.Tensor, None]:
        """Map tokens (batch, length, width) to tokens of the same shape.

        The signature is that of `torch.nn.MultiheadAttention`. `key` and `value` are ignored,
        because they equal `x`.
        """
        n, length, width = x.shape
        projected = self.in_projection(x).view(n, length, 3, self.n_heads, width // self.n_heads)
        mixed = scaled_dot_product_attention(*projected.permute(2, 0, 3, 1, 4))
        return self.out_projection(mixed.transpose(1, 2).reshape(n, length, width)), None


class PackedPatches(torch.nn.Module):
    """Convolution over windows that do not overlap, as one packed linear layer.

    Parameters
    ----------
    convolution : Conv2d
        The layer to replace. Its stride equals its kernel size.
    """

    def __init__(self, convolution: torch.nn.Conv2d) -> None:
        super().__init__()
        self.height, self.width = convolution.kernel_size
        # The order (height, width, channel) is the memory order of channels-last images.
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
        self.linear = PackedLinear(weight, convolution.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (batch, channels, height, width) to (batch, n_out, rows, columns)."""
        n, channels, height, width = images.shape
        rows, columns = height // self.height, width // self.width
        pixels = images[:, :, : rows * self.height, : columns * self.width].permute(0, 2, 3, 1)
        windows = pixels.reshape(n, rows, self.height, columns, self.width * channels)
        flat = windows.transpose(2, 3).reshape(n, rows, columns, -1)
        out: torch.Tensor = self.linear(flat).permute(0, 3, 1, 2)
        return out
